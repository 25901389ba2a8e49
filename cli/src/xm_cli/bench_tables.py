"""The tables of a benchmark: what was reached, and how it differs from the reference."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from xm_cli.results import NOTHING, figure, joined, labels_of, row_label
from xm_cli.tables import print_table

if TYPE_CHECKING:
    from xm.evaluation import Result
    from xm.experiment import BenchReport, BenchTable


def tables(report: BenchReport) -> list[BenchTable]:
    """The report's own, or accuracies and differences; those that have rows."""
    return [table for table in report.tables or (accuracies(report), differences(report)) if table.rows]


def accuracies(report: BenchReport) -> BenchTable:
    """Means by strategy, what it learned from, and shots; then the seconds a fit took at most shots, and label cost."""
    from xm.experiment import BenchTable

    shots = sorted({s.shots for s in report.summary})
    cells: dict[tuple[str, tuple[str, ...]], dict[int, str]] = {}
    for s in (s for s in report.summary if s.split == "test"):
        cells.setdefault((s.strategy, s.aux), {})[s.shots] = figure(s.mean, s.std, s.seeds)
    target = report.results[0].target
    rows = [
        [strategy, row_label(target, aux), *(found.get(k, NOTHING) for k in shots), _seconds(report, strategy, aux)]
        for (strategy, aux), found in cells.items()
    ]
    cost = ["", f"{target} labels, train + val", *(labels_of(report.results, k) for k in shots), ""]
    seeds = sorted({r.seed for r in report.results})
    spread = f"mean and standard deviation over seeds {joined(seeds)}" if len(seeds) > 1 else f"seed {seeds[0]}"
    title = (
        f"{report.name}: {report.results[0].metric} in % on {report.results[0].n} {target} items of test, {spread}, by "
        "shots; seconds a fit, at most shots"
    )
    return BenchTable(title, ["strategy", "learned from", *map(str, shots), "seconds"], [*rows, cost])


def differences(report: BenchReport) -> BenchTable:
    """Each row minus the reference, in points, with its interval; a star where that does not hold zero."""
    from xm.experiment import BenchTable, points

    shots = sorted({c.shots for c in report.comparisons})
    cells: dict[tuple[str, tuple[str, ...]], dict[int, str]] = {}
    for c in report.comparisons:
        cells.setdefault((c.strategy, c.aux), {})[c.shots] = points(c)
    target = report.results[0].target
    rows = [
        [strategy, row_label(target, aux), *(found.get(k, NOTHING) for k in shots)]
        for (strategy, aux), found in cells.items()
    ]
    first = report.comparisons[0] if report.comparisons else None
    against = "" if first is None else f"{first.against} on {row_label(target, first.against_aux)}"
    over = "seeds and test items" if any(c.seeds > 1 for c in report.comparisons) else "test items"
    alone = "" if first is None or first.against_aux else " alone"
    what = f"Against {against}{alone}, in points"
    title = f"{what}, with 95 % intervals over {over}; * where they do not hold zero"
    return BenchTable(title, ["strategy", "learned from", *map(str, shots)], rows)


def print_tables(tables: Sequence[BenchTable], below: Sequence[str], markdown: bool) -> None:
    """Print tables and the lines below them."""
    if markdown:
        print("\n".join((*as_markdown(tables), *below)))
        return
    for table in tables:
        print(f"{table.title}\n")
        print_table(table.headers, table.rows, right=range(table.words, len(table.headers)))
        print("".join(f"\n{line}" for line in (*table.below, "")) if table.below else "")
    print("\n".join(below))


def as_markdown(tables: Sequence[BenchTable]) -> list[str]:
    """Tables as lines of Markdown."""
    lines: list[str] = []
    for table in tables:
        lines += [table.title, ""]
        lines += [f"| {' | '.join(cells)} |" for cells in (table.headers, ["---"] * len(table.headers), *table.rows)]
        lines += ["", *(part for line in table.below for part in (line, ""))]
    return lines


def left_out(report: BenchReport) -> list[str]:
    """A line for each strategy that does not apply."""
    return [f"Left out: {strategy} ({why})" for strategy, why in report.left_out.items()]


def _seconds(report: BenchReport, strategy: str, aux: tuple[str, ...]) -> str:
    found: Sequence[Result] = [r for r in report.results if (r.strategy, r.aux) == (strategy, aux)]
    most = max(r.shots for r in found)
    return f"{fmean(r.seconds for r in found if r.shots == most):.1f}"
