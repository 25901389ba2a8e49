"""xm plugins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Xm = Callable[..., Any]

BROKEN = """
import xm
@xm.hookimpl
def strategies():
    raise RuntimeError("out of order")
@xm.hookimpl
def encoders():
    return [xm.EncoderSpec(name="sound-part", target="broken:Sound", modality="sound")]
"""


def test_list_names_what_plugins_add(xm: Xm) -> None:
    done = xm("plugins", "list")
    assert done.exit_code == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("toy_plugin"))
    assert "encoder toy-words, toy-signs, toy-missing; dataset toys; benchmark toy; command toy-hello" in line
    found = {p["name"]: p for p in json.loads(xm("plugins", "list", "--json").stdout)["plugins"]}
    assert found["toy_plugin"]["adds"]["dataset"] == ["toys"]
    assert found["linear"]["distribution"] == "xm-probes"
    assert found["linear"]["error"] is None


def test_a_broken_plugin_is_listed_and_the_rest_goes_on(xm: Xm, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    listed = xm("--plugin", tmp_path / "broken.py", "plugins", "list")
    assert listed.exit_code == 0
    assert "out of order" in next(line for line in listed.stdout.splitlines() if line.startswith("broken"))
    trained = xm(
        *("--plugin", tmp_path / "broken.py", "train", "-m", "word", "--data", "toys", "--shots", "1", "--seeds", "1")
    )
    assert trained.exit_code == 0
    assert "warning: plugin 'broken' is left out: hook strategies: RuntimeError: out of order" in trained.stderr
    (tmp_path / "worse.py").write_text("1 / 0")
    worse = xm("--plugin", tmp_path / "worse.py", "plugins", "list")
    assert worse.exit_code == 4
    assert "worse.py, line 1: ZeroDivisionError" in worse.stderr


def test_show_tells_specs_availability_and_settings(xm: Xm) -> None:
    encoder = xm("plugins", "show", "toy-missing").stdout
    assert "can be used here: no, its weights are missing; type: get weights" in encoder
    strategy = xm("plugins", "show", "linear", "--json")
    assert strategy.exit_code == 0, strategy.stderr
    (found,) = json.loads(strategy.stdout)["found"]
    assert (found["kind"], found["plugin"], found["why_not"]) == ("strategy", "linear", None)
    settings = {s["name"]: s for s in found["settings"]}
    assert settings["init"]["default"] == "auto"
    assert all(s["description"] for s in settings.values())
    assert "init" in xm("plugins", "show", "linear").stdout
    whole = json.loads(xm("plugins", "show", "toy_plugin", "--json").stdout)["found"]
    assert {"benchmark", "encoder", "dataset", "command"} == {thing["kind"] for thing in whole}
    near = xm("plugins", "show", "toy-word")
    assert near.exit_code == 2
    assert "did you mean 'toy-words'?" in near.stderr


def test_check_makes_the_thing(xm: Xm) -> None:
    for name in ("toy-words", "toys", "linear", "toy-hello", "cross-entropy", "argmax", "jsonl"):
        done = xm("plugins", "check", name)
        assert done.exit_code == 0, done.stdout
        line, *more = done.stdout.splitlines()
        assert line.endswith(f" {name}: ok")
        assert len(more) <= 1
    assert xm("plugins", "check", "toy-words").stdout.splitlines()[1] == (
        "loads; for what it computes, run the suite xm.testing.EncoderConformance"
    )
    missing = xm("plugins", "check", "toy-missing")
    assert missing.exit_code == 0
    assert missing.stdout.startswith(
        "encoder toy-missing: ok, but can't be used here: its weights are missing; type: get weights\n"
    )
    for name, reason in [
        (
            "toy-absent",
            "command toy-absent: error: command 'toy-absent' (plugin toy_plugin): target 'no_such_module:command' does",
        ),
        ("toy-number", "command toy-number: error: "),
    ]:
        done = xm("plugins", "check", name)
        assert done.exit_code == 4
        assert done.stdout.startswith(reason)
        assert len(done.stdout.splitlines()) == 1
    assert xm("plugins", "check", "toy_plugin").exit_code == 4


OWN = """
from xm import StrategySpec, hookimpl
from xm.learning import LinearProbe

class Own(LinearProbe):
    pass

class Odd(LinearProbe):
    def restore(self, towers, tensors):
        raise KeyError("lost")

@hookimpl
def strategies():
    return [StrategySpec(name="{name}", target="{file}:{target}")]
"""


NEAR = """
from pathlib import Path
import torch
from xm import Encoder, EncoderSpec, fingerprint_of, hookimpl
from xm.encoders import read_text

class Near(Encoder):
    modality, suffixes, space, dim, accepts_names = "text", (".txt",), "near", 26, True

    def __init__(self, argument=""):
        self.shift = float(Path(argument).read_text())

    def fingerprint(self):
        return fingerprint_of("near", self.shift)

    def trunk(self, items):
        texts = [read_text(item) for item in items]
        letters = [[text.count(chr(97 + i)) + self.shift for i in range(26)] for text in texts]
        return {"features": torch.tensor(letters).reshape(-1, 26)}

@hookimpl
def encoders():
    return [EncoderSpec(name="near", modality="text", target="own_near:Near", suffixes=(".txt",), argument="FILE")]
"""


@pytest.mark.slow
@pytest.mark.parametrize(("target", "code"), [("Own", 0), ("Odd", 4)])
def test_check_runs_the_suite_on_a_file(xm: Xm, tmp_path: Path, target: str, code: int) -> None:
    file = tmp_path / f"own_{target.lower()}.py"
    file.write_text(OWN.format(name=target.lower(), file=file.stem, target=target))
    done = xm("plugins", "check", file)
    assert done.exit_code == code, done.stdout
    assert done.stdout.startswith(f"strategy {target.lower()}: ok\n")
    assert ("passed" in done.stdout.splitlines()[-1]) and (("failed" in done.stdout.splitlines()[-1]) == (code > 0))


def test_check_makes_an_encoder_with_its_argument(xm: Xm) -> None:
    done = xm("plugins", "check", "pixels:4")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "encoder pixels: ok",
        "  not run: its suite xm.testing.EncoderConformance wants three items or more: --item FILE, or a text, three "
        "times",
    ]
    wrong = xm("plugins", "check", "pixels:four")
    assert wrong.exit_code == 4 and "pixels:four: the side must be a whole number" in wrong.stdout


@pytest.mark.slow
def test_check_reads_an_argument_from_where_it_is_typed(
    xm: Xm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_near.py").write_text(NEAR)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "shift.txt").write_text("1")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")  # of the folder, not of the suite
    monkeypatch.chdir(tmp_path)
    items = [part for item in ("aaa", "b", "cc") for part in ("--item", item)]
    done = xm("--plugin", "own_near.py", "plugins", "check", "near:models/shift.txt", *items)
    assert done.exit_code == 0, done.stdout
    assert "passed" in done.stdout.splitlines()[-1]


def test_debug_shows_where_a_plugin_fails_to_load(xm: Xm, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "half.py").write_text(
        "from xm import hookimpl\n\n@hookimpl\ndef strategies():\n    return 1 / 0\n", encoding="utf-8"
    )
    options += ["--plugin", str(tmp_path / "half.py")]
    assert "half.py" not in xm("plugins", "list").stderr
    done = xm("--debug", "data", "show", "digits")
    assert "warning: plugin 'half' is left out: hook strategies: ZeroDivisionError" in done.stderr
    assert 'half.py", line 5' in done.stderr
