"""Results for people: the table of means, and what it says, in words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from xm_cli.tables import count, encodable, print_table

if TYPE_CHECKING:
    from xm.evaluation import Comparison, Report, Result, Summary

Row: TypeAlias = tuple[str, tuple[str, ...], str]
"""A strategy, its auxiliary modalities, and what was scored."""

GENERALISED = "generalised-"
"""Begins the names of parts of test that are decided among seen and unseen classes; tables say it behind."""

NOTHING = "-"
VERDICTS = ("helps", "no clear difference", "hurts")


def print_report(report: Report, strategy: str) -> None:
    """The table, what it says, and references.

    Args:
        report: with one result at least.
        strategy: the one that was asked for; others are baselines.
    """
    first = report.results[0]
    headers, rows = table(report, strategy)
    seeds = sorted({r.seed for r in report.results})
    spread = f", mean {_pm()} standard deviation over seeds {joined(seeds)}" if len(seeds) > 1 else f", seed {seeds[0]}"
    tested = _range(r.n for r in report.results if r.split == first.split)
    print(f"{first.metric} in % on {tested} {first.target} items of {first.split}{spread}, by shots per class:\n")
    print_table(headers, rows, right=range(len(headers) - _shot_columns(report), len(headers)))
    print()
    told = (
        differences(report, strategy),
        below_names(report, strategy),
        _references(report),
        _coverage(report.results),
        _transductive(report.results),
    )
    for line in itertools.chain(*told):
        print(line)


def table(report: Report, strategy: str) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: one for each part of test, strategy and set of modalities, and what the labels cost.

    The first baseline that needs no sample of the target stands in the chosen strategy's rows, as 0 shots.
    """
    free = _free_baseline(report.summary, strategy)
    cells: dict[Row, dict[int, str]] = {}
    for s in report.summary:
        row = (strategy if s.strategy == free else s.strategy, s.aux, s.split)
        cells.setdefault(row, {})[s.shots] = figure(s.mean, s.std, s.seeds)
    splits = _splits(report)
    rows = sorted(cells, key=lambda row: (splits.index(row[2]), row[0] != strategy))
    shots = sorted({s.shots for s in report.summary})
    several, parted = len({name for name, _, _ in rows}) > 1, len(splits) > 1
    target = report.results[0].target

    def line(name: str, learned: str, scored: str, figures: Iterable[str]) -> list[str]:
        return [*([name] if several else []), learned, *([scored] if parted else []), *figures]

    lines = [
        line(name, row_label(target, aux), part_label(split), (found.get(k, NOTHING) for k in shots))
        for name, aux, split in rows
        for found in [cells[name, aux, split]]
    ]
    cost = line("", f"{target} labels, train + val", "", (labels_of(report.results, k) for k in shots))
    zero = f"0 ({free})" if free else "0"
    headers = line("strategy", "learned from", "scored on", (zero if k == 0 else str(k) for k in shots))
    return headers, [*lines, cost]


def _splits(report: Report) -> list[str]:
    """What was scored, all of test first."""
    return list(dict.fromkeys(s.split for s in report.summary))


def part_label(split: str) -> str:
    """A part of test in words: "language=de" for "test:language=de"."""
    part = split.removeprefix("test:")
    return f"{part.removeprefix(GENERALISED)}, {GENERALISED[:-1]}" if part.startswith(GENERALISED) else part


def differences(report: Report, strategy: str) -> list[str]:
    """A sentence per shots and part of test: where auxiliary modalities help, and where not.

    A difference to the target alone is clear if its 95 % interval does not hold zero.
    """
    own = [c for c in report.comparisons if c.strategy == c.against == strategy and GENERALISED not in c.split]
    lines = []
    cells = sorted({(c.shots, c.split) for c in own}, key=lambda cell: (cell[0], _splits(report).index(cell[1])))
    for shots, split in cells:
        said: dict[str, list[str]] = {verdict: [] for verdict in VERDICTS}
        for c in (c for c in own if (c.shots, c.split) == (shots, split)):
            said[_verdict(c)].append(f"{' + '.join(c.aux)} ({_difference(c)})")
        told = "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in said.items() if names)
        part = "" if split == "test" else f", {part_label(split)}"
        lines.append(f"  {count(shots, 'shot')}{part}: {told}")
    if lines:
        over = "seeds and test items" if own[0].seeds > 1 else "test items (one seed)"
        target = report.results[0].target
        lines.insert(0, f"Against {target} alone, in points, with 95 % intervals over {over}:")
    return lines


def below_names(report: Report, strategy: str) -> list[str]:
    """A line for each row that is clearly below what needs no sample at all, on all of test."""
    target = report.results[0].target
    return [
        f"At {count(c.shots, 'shot')} {row_label(target, c.aux)} is below {c.against} of "
        f"{row_label(target, c.against_aux)}, which needs no {target} label: "
        f"{_difference(c)}."
        for c in report.comparisons
        if c.strategy == strategy != c.against and c.split == "test" and c.high < 0
    ]


def _difference(c: Comparison) -> str:
    """In points, with its interval: "+1.2, +0.4 to +2.0"."""
    return f"{100 * c.difference:+.1f}, {100 * c.low:+.1f} to {100 * c.high:+.1f}"


def _verdict(c: Comparison) -> str:
    return VERDICTS[0] if c.low > 0 else VERDICTS[2] if c.high < 0 else VERDICTS[1]


def _free_baseline(summary: Sequence[Summary], strategy: str) -> str | None:
    """The first strategy of which all results are of 0 shots; None if the chosen one has results of 0 shots itself."""
    trained = {s.strategy for s in summary if s.shots > 0}
    if any(s.strategy == strategy and not s.shots for s in summary):
        return None
    return next((s.strategy for s in summary if s.strategy not in trained), None)


def _shot_columns(report: Report) -> int:
    return len({s.shots for s in report.summary})


def _references(report: Report) -> list[str]:
    return [
        f"For comparison, {r.text} ({count(r.labels, 'label')}): {figure(r.mean, r.std, r.seeds)}"
        for r in report.references
    ]


def _coverage(results: Sequence[Result]) -> list[str]:
    """How much a rule that may abstain decides on, and how often it is right then."""
    found = [r for r in results if r.coverage is not None and r.split == results[0].split]
    if not found:
        return []
    decided = sum(r.coverage * r.n for r in found if r.coverage is not None)
    line = f"The decision rule may abstain: it decides on {100 * decided / sum(r.n for r in found):.1f} % of the items"
    if {r.metric for r in found} == {"accuracy"} and decided:
        line += f", and is right on {100 * sum(r.value * r.n for r in found) / decided:.1f} % of these"
    return [f"{line}."]


def _transductive(results: Iterable[Result]) -> list[str]:
    return ["Answers depend on the other test items (transductive)."] if any(r.transductive for r in results) else []


def labels_of(results: Iterable[Result], shots: int) -> str:
    """Labelled items of the target in train and in val."""
    found = [r.labels for r in results if r.shots == shots]
    return " + ".join(_range(labels.get(split, 0) for labels in found) for split in ("train", "val"))


def row_label(target: str, aux: Sequence[str]) -> str:
    """What a row learned from: "image + text"."""
    return " + ".join((target, *aux))


def figure(mean: float, std: float, seeds: int) -> str:
    """Mean, and standard deviation where there are several seeds, in %."""
    figure = f"{100 * mean:.1f}"
    return figure if seeds < 2 else f"{figure} {_pm()} {100 * std:.1f}"


def _pm() -> str:
    return encodable("±", "+/-")


def _range(numbers: Iterable[int]) -> str:
    low, *_, high = sorted([*numbers] * 2)
    return str(low) if low == high else f"{low}-{high}"


def joined(numbers: Iterable[int]) -> str:
    """ "1, 2, 3"."""
    return ", ".join(map(str, numbers))
