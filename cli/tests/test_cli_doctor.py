"""xm doctor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Xm = Callable[..., Any]


def test_what_is_missing_is_told_with_what_to_type(xm: Xm) -> None:
    done = xm("doctor")
    assert done.exit_code == 4  # nothing encodes smells
    line = next(line for line in done.stdout.splitlines() if "toy-missing" in line)
    assert line.endswith("no: its weights are missing; type: get weights")
    assert "No encoder by default for: smell" in done.stdout


def test_versions_devices_and_cache(xm: Xm, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "file").write_bytes(b"12345")
    found = json.loads(xm("doctor", "--json").stdout)
    assert found["cache"] == {"folder": str(tmp_path / "cache"), "files": 1, "bytes": 5}
    assert "cpu" in found["devices"]
    assert {"xm-cli", "xm-core", "torch"} <= found["versions"].keys()
    assert found["default_encoders"]["word"] == "toy-words"
    assert found["default_encoders"]["smell"] is None


def test_what_does_not_load_is_told(xm: Xm, toy: list[str], tmp_path: Path) -> None:
    text = Path(toy[1]).read_text().replace("toy_plugin:make_word_encoder", "toy_plugin:Wrods", 1)
    (tmp_path / "toy_plugin.py").write_text(text)
    toy[1] = str(tmp_path / "toy_plugin.py")
    done = xm("doctor")
    assert done.exit_code == 4
    line = next(line for line in done.stdout.splitlines() if "toy-words" in line)
    assert "no: encoder 'toy-words' (plugin toy_plugin): target 'toy_plugin:Wrods' does not exist" in line
    assert "command 'toy-absent' (plugin toy_plugin): target 'no_such_module:command' does not import" in done.stdout
    assert "No encoder by default for: smell, word" in done.stdout


def test_a_usable_chain_ends_with_0(xm: Xm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: list[str]) -> None:
    monkeypatch.setenv("XM_DISABLE_PLUGINS", "all")
    plain = Path(toy[1]).read_text().replace('available="toy_plugin:why_not",', "")
    (tmp_path / "toy_plugin.py").write_text(plain)
    toy[1] = str(tmp_path / "toy_plugin.py")
    done = xm("doctor")
    assert done.exit_code == 0, done.stdout
    assert "Every modality has an encoder that can be used." in done.stdout


def test_unfinished_runs_are_told(xm: Xm, tmp_path: Path) -> None:
    (tmp_path / "runs" / ".unfinished.0123456789abcdef" / ".kept").mkdir(parents=True)
    (tmp_path / ".mine" / "other").mkdir(parents=True)
    folder = str(Path("runs", ".unfinished.0123456789abcdef"))
    assert f"unfinished run: {folder}; the command that began it goes on with it" in xm("doctor").stdout
    assert json.loads(xm("doctor", "--json").stdout)["unfinished"] == [folder]


def test_no_encoder_at_all_ends_with_4(xm: Xm, monkeypatch: pytest.MonkeyPatch, toy: list[str]) -> None:
    monkeypatch.setenv("XM_DISABLE_PLUGINS", "all")
    toy.clear()
    done = xm("doctor")
    assert done.exit_code == 4
    assert "No plugin has an encoder." in done.stdout
