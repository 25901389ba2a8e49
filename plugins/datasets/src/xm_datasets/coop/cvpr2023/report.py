"""What the benchmark found, and its tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from xm.evaluation import Summary
from xm.experiment import BenchReport, BenchTable
from xm_datasets.coop.cvpr2023.intervals import Interval
from xm_datasets.coop.cvpr2023.published import DATASETS, TABLE, Row
from xm_datasets.coop.records import RECORDS

Cell = tuple[str, tuple[str, ...], int]
"""A strategy, the auxiliary modalities that it learned from, and shots; 0 is zero-shot."""

NOTHING = "-"


def part(dataset: str) -> str:
    """How results say that they are one dataset's: the benchmark's test is that of all of them."""
    return f"test:dataset={dataset}"


@dataclass(frozen=True)
class Figure:
    """A mean over the datasets at hand, beside the published one over eleven.

    Attributes:
        strategy: of the row.
        aux: its auxiliary modalities.
        shots: of the target, a class; 0 is zero-shot.
        value: an accuracy, 0..1, or a difference of two, -1..1.
        low: of its 95 % interval.
        high: of its 95 % interval.
        published: as `value`, without an interval; None if the paper has none.
        difference: `value` minus `published`, where there is one; its interval takes the published figure for exact.
        difference_low: of its 95 % interval.
        difference_high: of its 95 % interval.
    """

    strategy: str
    aux: tuple[str, ...]
    shots: int
    value: float
    low: float
    high: float
    published: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None

    @classmethod
    def of(cls, cell: Cell, found: Interval, published: float | None) -> Figure:
        """Of a mean and what is published."""
        beside = (None, None, None) if published is None else found.minus(published)
        return cls(*cell, *found, published, *beside)

    @property
    def row(self) -> Row:
        return self.strategy, self.aux


@dataclass(frozen=True)
class PaperReport(BenchReport):
    """A report whose results are means over datasets and, with `part` as their split, those of each dataset.

    Attributes:
        datasets: that were measured.
        missing: those of the eleven that were not, and why.
        drawn_here: measured ones that lack a published draw for some of the shots and seeds.
        as_published: whether the encoders are the paper's.
        means: accuracies.
        gains: of the reference's rows with auxiliary modalities against its row without.
    """

    datasets: tuple[str, ...]
    missing: Mapping[str, str]
    drawn_here: tuple[str, ...]
    as_published: bool
    means: tuple[Figure, ...]
    gains: tuple[Figure, ...]

    @property
    def tables(self) -> Sequence[BenchTable]:
        """Accuracies by dataset; means beside the published ones; gains by dataset, and beside the published ones."""
        return self._accuracies(), self._beside(), self._gains()

    @property
    def _of_eleven(self) -> str:
        count = len(self.datasets)
        return f"all {count} datasets" if not self.missing else f"{count} of {len(DATASETS)} datasets"

    @property
    def _over(self) -> str:
        seeds = len({r.seed for r in self.results})
        return "seeds and test items" if seeds > 1 else "test items (one seed)"

    def _accuracies(self) -> BenchTable:
        summary, seeds = self.summary, sorted({r.seed for r in self.results})
        shots = _shots(s.shots for s in summary)
        rows: list[list[str]] = []
        for dataset in self.datasets:
            rows += self._rows(dataset, (s for s in summary if s.split == part(dataset)), shots)
        rows += self._rows(self._mean, (s for s in summary if s.split == "test"), shots)
        rows += [
            ["published, mean of 11", TABLE[row].name, self._learned(row)]
            + [_percent(TABLE[row].means.get(k)) for k in shots]
            for row in self._published
        ]
        rows.append(["labels, all datasets", "", "train + val", *(self._labels(k) for k in shots)])
        spread = f"mean ± standard deviation over seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else ""
        title = f"{self.name}: accuracy in % on test, {self._of_eleven}, {spread or f'seed {seeds[0]}'}, by shots"
        return BenchTable(
            title, ["dataset", "strategy", "learned from", *map(str, shots)], rows, 3, tuple(self._told())
        )

    def _beside(self) -> BenchTable:
        shots = _shots(f.shots for f in self.means)
        rows = []
        for row in self._published:
            found = {f.shots: f for f in self.means if f.row == row}
            cells = [_beside(found[k]) if k in found else NOTHING for k in shots]
            rows.append([row[0], self._learned(row), TABLE[row].name, *cells])
        title = (
            f"Mean over {self._of_eleven} minus the published mean over 11, in points, with 95 % intervals over "
            f"{self._over}; * where they do not hold zero"
        )
        return BenchTable(title, ["strategy", "learned from", "published row", *map(str, shots)], rows, 3, self._warned)

    def _gains(self) -> BenchTable:
        own = [c for c in self.comparisons if c.strategy == c.against]
        shots = _shots(c.shots for c in own)
        rows = []
        for aux in dict.fromkeys(c.aux for c in own):
            learned = self._learned((own[0].strategy, aux))
            for dataset in self.datasets:
                of = {c.shots: Interval.of(c) for c in own if (c.aux, c.split) == (aux, part(dataset))}
                rows.append([dataset, learned, *(_difference(of.get(k)) for k in shots)])
            means = {f.shots: f for f in self.gains if f.aux == aux}
            whole = {k: Interval(f.value, f.low, f.high) for k, f in means.items()}
            rows.append([self._mean, learned, *(_difference(whole.get(k)) for k in shots)])
            papers = {k: f.published for k, f in means.items() if f.published is not None}
            rows.append(
                [
                    "published, mean of 11",
                    learned,
                    *(f"{100 * papers[k]:+.1f}" if k in papers else NOTHING for k in shots),
                ]
            )
        reference = f"{own[0].against} on {self._learned((own[0].against, ()))} alone" if own else ""
        title = f"Against {reference}, in points, with 95 % intervals over {self._over}; * where they do not hold zero"
        return BenchTable(title, ["dataset", "learned from", *map(str, shots)], rows)

    def _rows(self, name: str, found: Iterable[Summary], shots: Sequence[int]) -> Iterator[list[str]]:
        cells: dict[Row, dict[int, Summary]] = {}
        for s in found:
            cells.setdefault((s.strategy, s.aux), {})[s.shots] = s
        for row, of in cells.items():
            yield [name, row[0], self._learned(row), *(_accuracy(of.get(k)) for k in shots)]

    @property
    def _mean(self) -> str:
        return f"mean ({len(self.datasets)} of {len(DATASETS)})"

    @property
    def _published(self) -> list[Row]:
        """Rows of the paper that were measured here."""
        return [row for row in dict.fromkeys(f.row for f in self.means) if row in TABLE]

    def _learned(self, row: Row) -> str:
        return " + ".join((self.results[0].target, *row[1]))

    def _labels(self, shots: int) -> str:
        """Labelled items of train and val, of all datasets, for one seed."""
        found = [r.labels for r in self.results if r.split == "test" and r.shots == shots]
        most = [max((labels.get(split, 0) for labels in found), default=0) for split in ("train", "val")]
        return " + ".join(map(str, most))

    def _told(self) -> Iterator[str]:
        """Which datasets are not in the table, where draws are not the published ones, and how the mean is formed."""
        if self.missing:
            names = ", ".join(f"{name} ({RECORDS[name].folder}/)" for name in self.missing)
            yield f"Not read, so in no figure here: {names}"
        if self.drawn_here:
            yield f"Draws that are not the published ones, as few_shot/ lacks some: {', '.join(self.drawn_here)}"

    @property
    def _warned(self) -> tuple[str, ...]:
        """What the differences do not say."""
        used = self.settings["encoders"]
        named = ", ".join(f"{modality} {reference}" for modality, reference in used.items())
        lines = [
            "Published figures are taken for exact; the interval of a mean combines its datasets' as independent ones."
        ]
        if self.missing:
            lines.append(
                f"The published means are over 11 datasets, these over {len(self.datasets)} of 11: data differ, so the "
                "differences do not say how well the paper is reproduced."
            )
        if self.as_published:
            lines.append(f"The encoders are the paper's, CLIP's RN50 of OpenAI ({named}).")
        else:
            lines.append(
                f"The paper's encoders are CLIP's RN50 of OpenAI, here: {named}. Accuracy is expected to differ where "
                "encoders do."
            )
        return tuple(lines)


def _shots(found: Iterable[int]) -> list[int]:
    return sorted(set(found))


def _percent(mean: float | None) -> str:
    return NOTHING if mean is None else f"{mean:.1f}"


def _accuracy(found: Summary | None) -> str:
    if found is None:
        return NOTHING
    return f"{100 * found.mean:.1f}" + (f" ± {100 * found.std:.1f}" if found.seeds > 1 else "")


def _difference(found: Interval | None) -> str:
    if found is None:
        return NOTHING
    star = "*" if found.low > 0 or found.high < 0 else ""
    return f"{100 * found.value:+.1f}{star} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _beside(found: Figure) -> str:
    return (
        NOTHING
        if found.published is None
        else _difference(Interval(found.value, found.low, found.high).minus(found.published))
    )
