"""Fixtures: the program run in this process, or in one of its own, with a toy plugin."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xm.plugins.plugin_manager import manager
from xm_cli.main import app

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; the toys are too small to share out
TOY = Path(__file__).with_name("toy_plugin.py")
TRAINED_WITH = ("linear", "zero-shot")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder's tests where somebody took away a plugin that they train with."""
    absent = [name for name in TRAINED_WITH if find_spec(f"xm_{name.replace('-', '_')}") is None]
    if absent:
        mark = pytest.mark.skip(reason=f"these tests train with plugins that are not installed: {', '.join(absent)}")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(mark)


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working folder of its own, an empty cache, no XM_ variables, and new plugins."""
    for name in [n for n in os.environ if n.startswith("XM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    forget()
    yield
    forget()


def forget() -> None:
    """As if no plugin had been loaded."""
    manager.cache_clear()
    for name in ("toy_plugin", "broken"):
        sys.modules.pop(name, None)


@pytest.fixture
def toy() -> list[str]:
    """Global options that load the toy plugin."""
    return ["--plugin", str(TOY)]


@pytest.fixture
def xm(toy: list[str]) -> Callable[..., Any]:
    """Run `xm` with the toy plugin in this process; the result has exit_code, stdout and stderr."""

    def run(*args: object) -> Any:
        forget()
        return CliRunner().invoke(app, [*toy, *map(str, args)])

    return run


@pytest.fixture
def process(toy: list[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `xm` with the toy plugin as a user does."""

    def run(*args: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "xm_cli", *toy, *map(str, args)]
        env = {**os.environ, **environment}
        return subprocess.run(command, capture_output=True, text=True, env=env, encoding="utf-8", timeout=120)

    return run


@pytest.fixture
def run_folder(xm: Callable[..., Any], tmp_path: Path) -> Path:
    """A run on the toys: words, with signs, 1 and 2 shots, 2 seeds."""
    out = tmp_path / "a run"
    args = ("--modality", "word", "--aux", "sign", "--data", "toys", "--shots", "1,2", "--seeds", "1,2", "--out", out)
    done = xm("train", *args)
    assert done.exit_code == 0, done.stderr
    return out
