"""The main job, from the command line: the default task in every direction, and what its runs are good for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def xm(*arguments: str, cwd: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    given = {k: v for k, v in os.environ.items() if not k.startswith("XM_")} | {"XM_CACHE": str(cache)}
    command = [sys.executable, "-m", "xm_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=given)


def train(folder: Path, *arguments: str) -> dict[str, Any]:
    done = xm("train", *arguments, "--json", "--out", "run", cwd=folder, cache=folder / "cache")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def mean(report: dict[str, Any], aux: list[str], shots: int) -> float:
    [value] = [s["mean"] for s in report["summary"] if s["aux"] == aux and s["shots"] == shots]
    return float(value)


pytestmark = [pytest.mark.slow, pytest.mark.whole]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("main-job")


@pytest.fixture(scope="module")
def report(work: Path) -> dict[str, Any]:
    return train(work, "--modality", "image", "--aux", "text,audio", "--shots", "1,4")


def test_every_subset_is_there(report: dict[str, Any]) -> None:
    cells = {(tuple(s["aux"]), s["shots"], s["strategy"]) for s in report["summary"]}
    subsets = [(), ("text",), ("audio",), ("text", "audio")]
    assert cells == {(aux, shots, "linear") for aux in subsets for shots in (1, 4)} | {
        (aux, 0, "zero-shot") for aux in subsets if aux
    }
    assert {s["seeds"] for s in report["summary"]} == {3}
    assert {r["init"] for r in report["results"] if not r["aux"]} == {"random"}
    assert {r["n"] for r in report["results"]} == {1157}


def test_other_modalities_help_at_one_shot(report: dict[str, Any]) -> None:
    alone = mean(report, [], 1)
    assert alone > 0.5
    assert mean(report, ["text"], 1) > alone + 0.1
    assert mean(report, ["audio"], 1) > alone + 0.05
    assert mean(report, ["text"], 0) > 0.7, "zero-shot"


def test_it_says_how_pairs_were_made_and_what_their_labels_would_give(report: dict[str, Any]) -> None:
    assert any("40 pairs" in note and "labels in disguise" in note for note in report["notes"])
    [reference] = report["references"]
    assert reference["name"] == "pair-labels"
    assert reference["labels"] == 40
    assert 0.75 < reference["mean"] < 0.95


def test_a_run_predicts_elsewhere_without_data_and_cache(report: dict[str, Any], work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "run", tmp_path / "moved")
    made = xm("digits", "shown", cwd=tmp_path, cache=work / "cache")
    assert made.returncode == 0, made.stderr
    for modality, at_least in (("image", 0.8), ("audio", 0.4), ("text", 0.1)):
        files = sorted((tmp_path / "shown" / "test" / modality).glob("*/*"))[::7]
        names = [str(file.relative_to(tmp_path)) for file in files]
        done = xm("predict", "moved", *names, "--json", cwd=tmp_path, cache=tmp_path / "new-cache")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        items = found["predictions"] if isinstance(found, dict) else found
        right = [item["label"] == Path(item["item"]).parent.name for item in items]
        assert len(right) == len(files)
        assert sum(right) / len(right) > at_least, modality


@pytest.mark.parametrize(
    ("target", "aux", "at_least"), [("audio", "image,text", 0.6), ("text", "image", 0.2)], ids=("audio", "text")
)
def test_other_directions(target: str, aux: str, at_least: float, work: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").symlink_to(work / "cache")
    found = train(tmp_path, "--modality", target, "--aux", aux, "--shots", "1", "--seeds", "1,2")
    assert mean(found, [], 1) > at_least
    assert all(0 <= r["value"] <= 1 and r["target"] == target for r in found["results"])
