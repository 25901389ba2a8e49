"""Files: whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from xm.foundation.errors import RunError
from xm.foundation.files import cache_dir, read_tensors, replacing, sweep, write_json, write_tensors


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_json(path, {"ü": 1})
    assert "ü" in path.read_text(encoding="utf-8") and json.loads(path.read_text(encoding="utf-8")) == {"ü": 1}
    with pytest.raises(TypeError):
        write_json(path, {"b": object()})
    with pytest.raises(KeyError), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert json.loads(path.read_text(encoding="utf-8")) == {"ü": 1}
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_what_a_kill_left_half_written_is_swept(tmp_path: Path) -> None:
    with pytest.raises(KeyError), replacing(tmp_path / "cell" / "a.json") as temporary:
        left = temporary.with_name(temporary.name)
        names = [left.name, "a.json", ".hidden", ".git.config"]
        raise KeyError
    for name in names:
        (tmp_path / "cell" / name).write_text("{")
    sweep(tmp_path)
    assert sorted(path.name for path in (tmp_path / "cell").iterdir()) == [".git.config", ".hidden", "a.json"]


def test_tensors(tmp_path: Path) -> None:
    x = torch.arange(12).view(3, 4)
    write_tensors(tmp_path / "x.safetensors", {"t": x.T, "same": x})
    found = read_tensors(tmp_path / "x.safetensors")
    assert torch.equal(found["t"], x.T) and torch.equal(found["same"], x)


@pytest.mark.parametrize("content", [None, b"", b"not tensors at all", "cut"])
def test_bad_tensors_are_named(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "x.safetensors"
    if content is not None:
        write_tensors(path, {"t": torch.ones(100)})
        path.write_bytes(content if isinstance(content, bytes) else path.read_bytes()[:-40])
    with pytest.raises(RunError, match=r"x\.safetensors: (no such file|damaged)") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)


def test_cache_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XM_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("XM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir().name == "xm" and cache_dir().is_absolute()
