"""What protocols share: rows against a reference and against what needs no sample, on parts of test and their means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from xm.evaluation.report import Comparison, Result, Summary
from xm.evaluation.significance import Hits, compare_means
from xm.experiment.bench_report import BenchReport, BenchTable, learned, percent, points
from xm.plugins.plugin_manager import PluginManager

Row: TypeAlias = tuple[str, tuple[str, ...], int]
"""A strategy, its auxiliary modalities, and shots."""

Mean: TypeAlias = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]
"""Of accuracies (parts, k) over the parts: (k,)."""


def mean(accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over parts, each of which counts the same."""
    found: NDArray[np.float64] = accuracies.mean(axis=0)
    return found


@dataclass(frozen=True)
class Column:
    """A column of figures.

    Attributes:
        name: its header.
        split: whose results stand in it.
        parts: the splits that it is a mean of; of one split, itself.
        mean: of the accuracies on the parts.
    """

    name: str
    split: str
    parts: tuple[str, ...]
    mean: Mean = mean


def free(plugins: PluginManager, aux: Sequence[str]) -> list[str]:
    """The strategies that run beside others and need no sample of the target but of `aux`, such as zero-shot."""
    return (
        []
        if not aux
        else [spec.name for spec in plugins.strategies.values() if spec.baseline and not spec.needs_target]
    )


def beside(result: Result, told: Sequence[Result], baselines: Sequence[str]) -> list[Result]:
    """The baseline's result of the same seed that one with samples is held against; [] for none.

    That is the one with the same auxiliary modalities, or the first where there is no such.

    Args:
        result: of a row.
        told: results of all rows, on the whole of test.
        baselines: strategies that need no sample (`free`).
    """
    rows = [r for r in told if r.strategy in baselines and r.seed == result.seed and r.strategy != result.strategy]
    return ([r for r in rows if r.aux == result.aux] or rows)[:1] if result.shots else []


def row_of(result: Result) -> Row:
    """Of a result."""
    return result.strategy, result.aux, result.shots


def compared(
    results: Sequence[Result],
    hits: Callable[[Result], Mapping[str, Hits]],
    columns: Sequence[Column],
    against: Callable[[Result], Sequence[Result]],
) -> Iterator[Comparison]:
    """Every row against others, column by column, paired by test item and seed.

    Args:
        results: of all rows, one for each seed; of the whole of test.
        hits: of a result's model, by split.
        columns: that are compared; one of which a row lacks a part is left out.
        against: of a result, those of the same seed that it is held against.
    """
    pairs: dict[tuple[Row, Row], list[tuple[Result, Result]]] = {}
    for result in results:
        for other in against(result):
            pairs.setdefault((row_of(result), row_of(other)), []).append((result, other))
    known = {id(r): hits(r) for r in results}
    for (row, held), seeds in pairs.items():
        for column in columns:
            whole = [(_of(known[id(one)], column), _of(known[id(other)], column)) for one, other in seeds]
            if all(one and other for one, other in whole):
                yield compare_means(
                    whole,
                    column.mean,
                    strategy=row[0],
                    aux=row[1],
                    shots=row[2],
                    against=held[0],
                    against_aux=held[1],
                    split=column.split,
                )


def _of(hits: Mapping[str, Hits], column: Column) -> Sequence[Hits]:
    """Of the parts of a column if all are there, else none."""
    return [hits[part] for part in column.parts] if all(part in hits for part in column.parts) else ()


def accuracy_table(
    report: BenchReport,
    title: str,
    columns: Sequence[Column],
    hidden: Mapping[tuple[str, tuple[str, ...]], Sequence[str]],
    below: Sequence[str],
) -> BenchTable:
    """Means over seeds: a row for each strategy, what it learned from, and shots; a column for each split.

    Args:
        report: whose results.
        title: of the table.
        columns: of figures.
        hidden: splits of which a row's figures are not shown.
        below: lines below it.
    """
    cells: dict[Row, dict[str, Summary]] = {}
    for s in report.summary:
        cells.setdefault((s.strategy, s.aux, s.shots), {})[s.split] = s
    target, shots = report.results[0].target, _shots(report)
    rows = []
    for (strategy, aux, count), found in cells.items():
        kept = {split: s for split, s in found.items() if split not in hidden.get((strategy, aux), ())}
        took = [r.seconds for r in report.results if row_of(r) == (strategy, aux, count) and r.split == "test"]
        rows.append(
            [
                strategy,
                learned(target, aux),
                *[str(count)] * shots,
                *(percent(kept.get(column.split)) for column in columns),
                f"{sum(took) / len(took):.1f}" if took else "",
            ]
        )
    headers = ["strategy", "learned from", *["shots"] * shots, *(c.name for c in columns), "seconds"]
    return BenchTable(title, headers, rows, 2, below)


def difference_tables(report: BenchReport, columns: Sequence[Column]) -> Iterator[BenchTable]:
    """A table for each strategy and row that others are held against."""
    target, shots = report.results[0].target, _shots(report)
    seeds = len({r.seed for r in report.results})
    by_row: dict[str, dict[Row, dict[str, Comparison]]] = {}
    for c in report.comparisons:
        by_row.setdefault(c.against, {}).setdefault((c.strategy, c.aux, c.shots), {})[c.split] = c
    for against, rows in by_row.items():
        whose = {c.against_aux for found in rows.values() for c in found.values()}
        on = f" on {learned(target, next(iter(whose)))}" if len(whose) == 1 else ""
        title = (
            f"Against {against}{on}, in points, with 95 % intervals over {'seeds and ' * (seeds > 1)}test items; * "
            "where they do not hold zero"
        )
        headers = ["strategy", "learned from", *["shots"] * shots, *(c.name for c in columns)]
        lines = [
            [
                strategy,
                learned(target, aux),
                *([str(k)] if shots else []),
                *(points(found.get(c.split)) for c in columns),
            ]
            for (strategy, aux, k), found in rows.items()
        ]
        yield BenchTable(title, headers, lines)


def _shots(report: BenchReport) -> bool:
    """Whether rows have several numbers of shots, so that a column says which."""
    return len({r.shots for r in report.results if r.shots}) > 1


def shots_of(report: BenchReport) -> str:
    """How many shots, in words."""
    found = sorted({r.shots for r in report.results if r.shots})
    return f"{', '.join(map(str, found))} shot{'s' * (found != [1])}" if found else "no shots"
