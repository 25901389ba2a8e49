"""Fixtures: the program with a toy plugin, and a run of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from xm_cli.testing import clean, process, xm

__all__ = ["clean", "process", "xm"]

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; the toys are too small to share out
TOY = Path(__file__).with_name("toy_plugin.py")
TRAINED_WITH = ("linear", "zero-shot")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder's tests where somebody took away a plugin that they train with."""
    absent = [name for name in TRAINED_WITH if name not in entry_points(group="xm").names]
    if absent:
        mark = pytest.mark.skip(reason=f"these tests train with plugins that are not installed: {', '.join(absent)}")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(mark)


@pytest.fixture
def toy() -> list[str]:
    """Global options that load the toy plugin."""
    return ["--plugin", str(TOY)]


@pytest.fixture
def options(toy: list[str]) -> list[str]:
    return toy


@pytest.fixture
def run_folder(xm: Callable[..., Any], tmp_path: Path) -> Path:
    """A run on the toys: words, with signs, 1 and 2 shots, 2 seeds."""
    out = tmp_path / "a run"
    args = ("--modality", "word", "--aux", "sign", "--data", "toys", "--shots", "1,2", "--seeds", "1,2", "--out", out)
    done = xm("train", *args)
    assert done.exit_code == 0, done.stderr
    return out
