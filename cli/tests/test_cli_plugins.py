"""xm plugins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
        ("toy-absent", "command toy-absent: error: target 'no_such_module:command' does not import"),
        ("toy-number", "command toy-number: error: "),
    ]:
        done = xm("plugins", "check", name)
        assert done.exit_code == 4
        assert done.stdout.startswith(reason)
        assert len(done.stdout.splitlines()) == 1
    assert xm("plugins", "check", "toy_plugin").exit_code == 4
