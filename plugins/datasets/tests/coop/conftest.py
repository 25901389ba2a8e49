"""A made-up folder of datasets, which XM_DATA names."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from xm import Dataset
from xm.data import open_dataset
from xm.plugins import manager

Paint = Callable[[str], Path]
Open = Callable[[str], Dataset]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("XM_DATA", str(folder))
    return folder


@pytest.fixture
def paint(root: Path) -> Paint:
    """Write a small picture, each of its own colour, to a path below XM_DATA."""

    def write(path: str) -> Path:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), tuple(zlib.crc32(path.encode()).to_bytes(4, "big")[:3])).save(file, "PNG")
        return file

    return write


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Open a dataset by its name, as the program does."""
    return lambda name: open_dataset(name, manager(), tmp_path / "cache")
