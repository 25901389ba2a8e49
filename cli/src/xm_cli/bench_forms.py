"""A benchmark's tables for papers and other programs: LaTeX, CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from xm_cli.bench_tables import left_out, tables
from xm_cli.results import row_label

if TYPE_CHECKING:
    from xm.evaluation import Result
    from xm.experiment import BenchReport

FIELDS = ("benchmark", "strategy", "learned from", "shots", "split", "metric", "mean", "std", "seeds", "n", "seconds")
"""Of a row of CSV: `mean` and `std` over `seeds` in 0..1, of `n` items scored a seed, `seconds` a fit."""

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
    }
)


def as_latex(report: BenchReport) -> list[str]:
    """Lines: each table as a float with a caption, with the rules of the package booktabs; the rest in comments."""
    lines = [r"% \usepackage{booktabs}"]
    for table in tables(report):
        columns = "l" * table.words + "r" * (len(table.headers) - table.words)
        lines += [r"\begin{table}", r"\centering", rf"\caption{{{escaped(table.title)}}}"]
        lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(table.headers), r"\midrule"]
        lines += [*map(_row, table.rows), r"\bottomrule", r"\end{tabular}", r"\end{table}"]
        lines += [*(f"% {line}" for line in table.below), ""]
    return [*lines, *(f"% {line}" for line in left_out(report))]


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(map(escaped, cells))} \\\\"


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return text.translate(_LATEX)


def write_csv(report: BenchReport, to: TextIO) -> None:
    """A header, and a row for each cell: a strategy, what it learned from, shots, and what was scored."""
    rows = csv.writer(to, lineterminator="\n")
    rows.writerow(FIELDS)
    cells: dict[tuple[object, ...], list[Result]] = {}
    for result in report.results:
        cells.setdefault(result.cell, []).append(result)
    for s in report.summary:
        found = cells[s.target, s.aux, s.strategy, s.shots, s.split]
        items, seconds = (sum(values) / s.seeds for values in ([r.n for r in found], [r.seconds for r in found]))
        cell = (report.name, s.strategy, row_label(s.target, s.aux), s.shots, s.split, found[0].metric)
        rows.writerow([*cell, s.mean, s.std, s.seeds, f"{items:g}", f"{seconds:.3f}"])
