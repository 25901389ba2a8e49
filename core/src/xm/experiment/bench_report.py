"""What a benchmark found, and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from xm.evaluation.report import Comparison, Result, Summary, summarise

NOTHING = "-"
"""Where a table has no figure."""


class BenchTable(NamedTuple):
    """A table as it is printed.

    Attributes:
        title: what it shows.
        headers: of the columns.
        rows: one text for each header.
        words: how many columns, from the left, are words; the others are numbers.
        below: lines that belong to it.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 2
    below: Sequence[str] = ()


@dataclass(frozen=True)
class BenchReport:
    """What a benchmark found.

    Attributes:
        name: the benchmark's.
        results: of all strategies.
        comparisons: of every row with the reference's row that learned from the target alone.
        left_out: strategies that do not apply, and why.
        notes: how data were made and brought together.
        settings: of the benchmark, plain values.
    """

    name: str
    results: tuple[Result, ...]
    comparisons: tuple[Comparison, ...]
    left_out: Mapping[str, str]
    notes: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def summary(self) -> list[Summary]:
        """Means over seeds."""
        return summarise(self.results)

    @property
    def tables(self) -> Sequence[BenchTable]:
        """Of a report with tables of its own, a subclass; none: accuracies and differences are printed."""
        return ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "summary": [asdict(summary) for summary in self.summary]}


def percent(found: Summary | None) -> str:
    """A mean in %, and its standard deviation over seeds where there are several; a dash for none."""
    if found is None:
        return NOTHING
    return f"{100 * found.mean:.1f}" + (f" ± {100 * found.std:.1f}" if found.seeds > 1 else "")


def points(found: Comparison | None) -> str:
    """A difference in points with its interval, and a star where that does not hold zero; a dash for none."""
    if found is None:
        return NOTHING
    star = "*" if found.low > 0 or found.high < 0 else ""
    return f"{100 * found.difference:+.1f}{star} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def learned(target: str, aux: Sequence[str]) -> str:
    """What a row learned from, in words."""
    return " + ".join((target, *aux))


def over(seeds: Sequence[int]) -> str:
    """What stands behind the figures of a table, in words."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    return f"mean ± standard deviation over seeds {', '.join(map(str, seeds))}"
