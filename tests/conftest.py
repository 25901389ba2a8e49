"""What the tests that span packages share."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

PLUGINS_PAGE = Path(__file__).parents[1] / "docs" / "plugins.md"


def listed_plugins() -> set[str]:
    table = PLUGINS_PAGE.read_text(encoding="utf-8").split("## The plugins of this repository")[1].split("\n## ")[0]
    return set(re.findall(r"^\| \[([\w-]+)\]", table, re.MULTILINE))


@pytest.fixture
def listed() -> set[str]:
    """The plugins in the table of docs/plugins.md."""
    return listed_plugins()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs every plugin, where somebody took one away."""
    absent = sorted(listed_plugins() - entry_points(group="xm").names)
    if absent:
        mark = pytest.mark.skip(reason=f"needs every plugin; not installed: {', '.join(absent)}")
        for item in items:
            if item.get_closest_marker("whole"):
                item.add_marker(mark)
