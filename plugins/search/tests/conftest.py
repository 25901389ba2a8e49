"""Fixtures: the program with the toy plugin of its own tests, and what an index says."""

from __future__ import annotations

from pathlib import Path

import pytest

from xm.foundation import Event
from xm_cli.testing import clean, process, xm

__all__ = ["clean", "process", "xm"]


@pytest.fixture
def options() -> list[str]:
    return ["--plugin", str(Path(__file__).parents[3] / "cli" / "tests" / "toy_plugin.py")]


@pytest.fixture
def events() -> list[Event]:
    """What a listener heard."""
    return []
