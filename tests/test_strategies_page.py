"""docs/strategies.md is the map of what is registered: each strategy once, and what it says of each is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xm import Strategy, StrategySpec, Wrapping
from xm.plugins import manager

pytestmark = pytest.mark.whole
PAGE = Path(__file__).parents[1] / "docs" / "strategies.md"
STRATEGIES = {spec.name: spec for spec in manager().strategies.values()}


def rows() -> dict[str, dict[str, str]]:
    """The map's rows by strategy."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    heads = [cell.strip() for cell in lines[0].strip("|").split("|")]
    found = {}
    for line in lines[2:]:
        cells = dict(zip(heads, (cell.strip() for cell in line.strip("|").split("|")), strict=True))
        named = re.fullmatch(r"\[([^]]+)\]\((methods/[\w.-]+)\)", cells["strategy"])
        assert named, f"{cells['strategy']} is no link to a page of a method"
        assert (PAGE.parent / named[2]).is_file() and named[1] not in found
        found[named[1]] = cells
    return found


def test_every_strategy_is_on_the_map_once() -> None:
    assert rows().keys() == STRATEGIES.keys()


@pytest.mark.parametrize("spec", STRATEGIES.values(), ids=STRATEGIES)
def test_what_the_map_says_is_so(spec: StrategySpec) -> None:
    row = rows()[spec.name]
    assert row["new classes"] == ("yes" if spec.reclasses else "no")
    assert ("unlabelled items" in row["needs"]) == spec.needs_unlabelled
    assert ("no label" in row["needs"]) == (not spec.needs_target)
    opens = spec.load().depths not in (Strategy.depths, Wrapping.depths)
    assert row["encoders"] == ("opened" if opens else "frozen")
    assert row["take it if"] and row["learns"]


def test_the_chart_names_only_what_there_is() -> None:
    chart = re.search(r"```mermaid\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert chart
    ends = re.findall(r'\[("?)([^\]"]+)\1\]', chart[1])
    named = {word for _, text in ends for word in re.findall(r"[a-z0-9+-]+", text)} & STRATEGIES.keys()
    assert {"zero-shot", "linear", "tip-adapter", "lora", "class-adaptive-probe", "fpl", "lbl2vec"} <= named
