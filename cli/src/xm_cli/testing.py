"""Fixtures for the tests of commands; a conftest.py imports them, and overrides `options`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xm.plugins import manager

__all__ = ["clean", "options", "process", "xm"]


@pytest.fixture
def options() -> list[str]:
    """Global options of every call: ``["--plugin", "FILE"]``. What a test makes of the list holds for its calls."""
    return []


def _forget() -> None:
    """As if no plugin had been loaded."""
    found = manager().plugins() if manager.cache_info().currsize else ()
    for plugin in found:
        if plugin.file:
            sys.modules.pop(Path(plugin.file).stem, None)
    manager.cache_clear()


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working folder of its own, an empty cache, no XM_ variables, and new plugins."""
    for name in [n for n in os.environ if n.startswith("XM_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("XM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    _forget()
    yield
    _forget()


@pytest.fixture
def xm(options: list[str]) -> Callable[..., Any]:
    """Run `xm` in this process; the result has exit_code, stdout and stderr."""

    def run(*args: object) -> Any:
        from xm_cli.main import app

        _forget()
        return CliRunner().invoke(app, [*options, *map(str, args)])

    return run


@pytest.fixture
def process(options: list[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `xm` as a user does; keywords are variables of its environment."""

    def run(*args: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "xm_cli", *options, *map(str, args)]
        env = {**os.environ, **environment}
        return subprocess.run(command, capture_output=True, text=True, env=env, encoding="utf-8", timeout=120)

    return run
