"""The toys of this folder are plugins while its tests run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

TOYS = Path(__file__).with_name("frames_toys.py")


@pytest.fixture(autouse=True)
def toys() -> Iterator[ModuleType]:
    """The module `frames_toys`, whose encoders the plugin manager knows."""
    pytest.importorskip("av")
    pytest.importorskip("soundfile")
    from xm.plugins import manager

    manager().load_file(TOYS)
    import frames_toys  # the plugin manager has imported it

    yield frames_toys
    manager.cache_clear()
