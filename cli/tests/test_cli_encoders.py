"""``xm encoders`` and ``xm weights``, on the toy plugin and a second encoder of its words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Xm = Callable[..., Any]

HALF = """
from pathlib import Path

import torch

import xm
from toy_plugin import counts
from xm import EncoderSpec, PluginError, hookimpl
from xm.plugins import Weights

FILE = Path("half.bin")


class Half(xm.Encoder):
    modality, suffixes, space, dim, accepts_names = "word", (".word",), "half", 32, True

    def __init__(self, argument=""):
        if argument == "gone":
            raise PluginError("half:gone: its weights are gone; type: get gone")

    def fingerprint(self):
        return xm.fingerprint_of("half", 1)

    def trunk(self, items):
        return {"features": torch.tensor([counts(str(item)) for item in items])[:, :32]}

    def pretrained(self):
        paths = (FILE,) if FILE.exists() else ()
        return (Weights("org/half", "the moon", paths, 2_500_000, "mit", get=lambda: FILE.write_text("x")),)


@hookimpl
def encoders():
    return [EncoderSpec(name="half", target="half_plugin:Half", modality="word", suffixes=(".word",), argument="any")]
"""


@pytest.fixture
def options(toy: list[str], tmp_path: Path) -> list[str]:
    plugin = tmp_path / "half_plugin.py"
    plugin.write_text(HALF)
    return [*toy, "--plugin", str(plugin)]


COMPARE = ("encoders", "compare", "-m", "word", "--data", "toys", "--shots", "1,2", "--seeds", "1,2")


def test_encoders_are_compared_on_the_same_draws(xm: Xm) -> None:
    done = xm(*COMPARE, "--encoders", "toy-words,half,half:gone", "--aux", "sign", "--items", "9")
    assert done.exit_code == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    head = next(line for line in lines if line[:3] == ["encoder", "learned", "from"])
    assert head[3:] == ["0", "1", "2", "ms", "MB", "MB", "an", "item"]
    rows = [line for line in lines if line[:1] in (["toy-words"], ["half"])]
    assert [row[:4] for row in rows[:3]] == [
        ["toy-words", "word", "-", rows[0][3]],
        ["toy-words", "word", "+", "sign"],
        ["half", "word", "-", rows[2][3]],
    ]
    assert float(rows[0][-3]) > 0 and float(rows[0][-2]) > 50  # milliseconds, and megabytes of a process with torch
    assert "Against toy-words, in points" in done.stdout
    assert "Left out: half:gone (its weights are gone" in done.stdout.replace("half:gone: ", "")
    assert "half was trained alone: " in done.stdout and "share no space" in done.stdout


def test_as_json_and_again_from_the_same_runs(xm: Xm) -> None:
    first = json.loads(xm(*COMPARE, "--encoders", "toy-words,half", "--out", "runs", "--items", "0", "--json").stdout)
    assert [row["encoder"] for row in first["encoders"]] == ["toy-words", "half"] and not first["left_out"]
    against = first["encoders"][1]["against_first"]
    assert {(c["shots"], c["seeds"]) for c in against} == {(1, 2), (2, 2)} and not first["encoders"][0]["against_first"]
    made = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("xm.json")}
    again = json.loads(xm(*COMPARE, "--encoders", "toy-words,half", "--out", "runs", "--items", "0", "--json").stdout)
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("xm.json")} == made and len(made) == 2
    assert [row["results"] for row in again["encoders"]] == [row["results"] for row in first["encoders"]]
    markdown = xm(*COMPARE, "--encoders", "toy-words,half", "--out", "runs", "--items", "0", "--markdown").stdout
    assert "| encoder | learned from | 1 | 2 | ms | MB | MB an item |" in markdown


@pytest.mark.parametrize(
    ("encoders", "said"),
    [
        ("half,half", "names one twice; name each once"),
        ("half:gone", "no encoder can be used: half:gone: half:gone: its weights are gone"),
        (
            "hlf",
            "no encoder can be used: hlf: no strategy applies: linear: unknown encoder 'hlf': did you mean 'half'?",
        ),
    ],
)
def test_what_can_not_be_compared(xm: Xm, encoders: str, said: str) -> None:
    done = xm(*COMPARE, "--encoders", encoders)
    assert done.exit_code == 2 and said in done.stderr.splitlines()[-1]


def test_other_settings_are_other_runs(xm: Xm) -> None:
    args = (*COMPARE[:6], "--shots", "1", "--seeds", "1", "--encoders", "toy-words", "--items", "0")
    assert xm(*args).exit_code == 0
    done = xm(*args, "--aux", "sign")
    assert done.exit_code == 0 and "left out" not in done.stderr, done.stderr


def test_weights_are_told_before_they_are_got(xm: Xm) -> None:
    shown = json.loads(xm("weights", "list", "half", "--json").stdout)["weights"]
    assert [(w["name"], w["here"], w["size"], w["licence"], w["encoders"]) for w in shown] == [
        ("org/half", False, 2_500_000, "mit", ["half"])
    ]
    listed = xm("weights", "list", "half").stdout
    assert "2.5 MB" in listed and listed.splitlines()[-1] == "Not here: xm weights get half"
    got = xm("weights", "get", "half")
    assert got.exit_code == 0 and Path("half.bin").exists()
    assert "downloading org/half: 2.5 MB, licence mit" in got.stderr
    assert got.stdout.splitlines()[-1] == "half: downloaded (org/half)"
    assert xm("weights", "get", "half").stdout.splitlines()[-1] == "half: is here (org/half)"
    assert xm("weights", "get", "toy-words").stdout.splitlines()[-1] == "toy-words: is here (it has no weights)"
    assert xm("weights", "get", "half:gone").exit_code == 4


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache with org/name: an old revision, and a new one with a page that states a licence."""
    pytest.importorskip("huggingface_hub")
    folder = tmp_path / "hub" / "models--org--name"
    for commit, size in (("a" * 40, 1000), ("b" * 40, 3000)):
        for name, content in (("model.bin", "x" * size), ("README.md", "---\nlicense: cc-by-4.0\n---\n# Name\n")):
            blob = folder / "blobs" / f"{commit[0]}-{name}"
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_text(content)
            link = folder / "snapshots" / commit / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("b" * 40)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return folder


def test_what_the_hubs_cache_holds(xm: Xm, cache: Path) -> None:
    shown = {w["name"]: w for w in json.loads(xm("weights", "list", "--json").stdout)["weights"]}
    assert shown["org/name"]["here"] and shown["org/name"]["licence"] == "cc-by-4.0"
    assert 4000 <= shown["org/name"]["size"] < 5000 and shown["org/name"]["encoders"] == []


def test_prune_takes_away_what_was_asked_for_and_only_then(xm: Xm, cache: Path) -> None:
    asked = xm("weights", "prune")
    assert asked.stdout.splitlines()[0] == "org/name: 1 revision" and "would be free with --yes" in asked.stdout
    assert (cache / "snapshots" / ("a" * 40)).exists()
    assert xm("weights", "prune", "--yes").stdout.splitlines()[-1].endswith("are free")
    assert not (cache / "snapshots" / ("a" * 40)).exists() and (cache / "snapshots" / ("b" * 40)).exists()
    assert xm("weights", "prune", "--yes").stdout == "nothing to take away\n"
    assert xm("weights", "prune", "--days", "1", "--yes").stdout == "nothing to take away\n"
    wrong = xm("weights", "prune", "org/nam")
    assert wrong.exit_code == 2 and "did you mean 'org/name'?" in wrong.stderr
    assert xm("weights", "prune", "org/name", "--yes").exit_code == 0 and not cache.exists()
    assert xm("weights", "prune", "org/name", "--days", "1").exit_code == 2
