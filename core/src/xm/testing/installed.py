"""Other plugins that a test trains with."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import pytest


def installed(name: str) -> Any:
    """The plugin of that name among those that are installed; the test is skipped where it is not."""
    found = [entry for entry in entry_points(group="xm") if entry.name == name]
    if not found:
        pytest.skip(f"needs the plugin {name}, which is not installed", allow_module_level=True)
    return found[0].load()
