"""Base to new: what learning from half of the classes is worth for the others (CoCoOp, Zhou et al., CVPR 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xm.evaluation.report import Result
from xm.experiment.bench_report import BenchReport, BenchTable, learned, over
from xm.experiment.bench_settings import BenchSettings
from xm.experiment.benchmark import run_strategies
from xm.experiment.figures import UNTOLD, generalised
from xm.experiment.protocol import Column, accuracy_table, beside, compared, difference_tables, free, row_of, shots_of
from xm.experiment.tested import HARMONIC, SEEN, UNSEEN
from xm.foundation.errors import UsageError
from xm.foundation.events import Listener, logged
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import BenchmarkSpec


def _harmonic(found: NDArray[np.float64]) -> NDArray[np.float64]:
    made: NDArray[np.float64] = 2 * found.prod(axis=0) / np.where(found.any(axis=0), found.sum(axis=0), 1)
    return made


OWN_KIND = (
    Column("base", SEEN, (SEEN,)),
    Column("new", UNSEEN, (UNSEEN,)),
    Column("H", HARMONIC, (SEEN, UNSEEN), _harmonic),
)
"""Table 1 of the paper: base classes among base classes, new among new, and the harmonic mean."""

AMONG_ALL = tuple(
    replace(c, name=f"{c.name} of all", split=generalised(c.split), parts=tuple(map(generalised, c.parts)))
    for c in OWN_KIND
)
"""The same, decided among all classes, as in generalised zero-shot learning (Xian et al., TPAMI 2019)."""

COLUMNS = (*OWN_KIND, *AMONG_ALL)
OF_NEW = tuple(c.split for c in COLUMNS if c.split not in (SEEN, generalised(SEEN)))


@dataclass(frozen=True)
class BaseToNewReport(BenchReport):
    """The report; its comparisons are with zero-shot, and with the reference that learned from all modalities."""

    @property
    def untold(self) -> list[tuple[str, tuple[str, ...]]]:
        """Rows of which some model had neither name nor sample of a new class."""
        return list(dict.fromkeys((r.strategy, r.aux) for r in self.results if r.record.get(UNTOLD)))

    @property
    def tables(self) -> Sequence[BenchTable]:
        """Figures of base and new classes, and differences."""
        first = self.results[0]
        seeds = sorted({r.seed for r in self.results})
        unseen = [len(r.record["unseen"]) for r in self.results if r.split == "test"]
        title = (
            f"{self.name}, base to new, {shots_of(self)} of each base class: {first.metric} in % on {first.n} "
            f"{first.target} items of test, {over(seeds)}; H is the harmonic mean, seconds those of a fit"
        )
        hidden = dict.fromkeys(self.untold, OF_NEW)
        below = [
            f"{max(unseen)} classes are new: no {first.target} of them is in train or val, and chance among them is "
            f"{100 / max(unseen):.1f}. 'of all': decided among base and new classes together.",
            *(
                f"{strategy} on {learned(first.target, aux)} can't take new classes: it read neither a name nor a "
                "sample of them, so that new and H are left out."
                for strategy, aux in self.untold
            ),
        ]
        there = {r.split for r in self.results}
        columns = [c for c in COLUMNS if c.split in there]
        return [accuracy_table(self, title, columns, hidden, below), *difference_tables(self, columns)]


def base_to_new(
    spec: BenchmarkSpec, settings: BenchSettings, plugins: PluginManager, listener: Listener = logged
) -> BenchReport:
    """CoCoOp's protocol (Zhou et al., CVPR 2022, table 1): learn from half of the classes, test on all.

    As `few_shot`, with the settings `unseen` (half, unless others are given) and 16 shots by default. Zero-shot runs
    beside. A row that has neither a name nor a sample of new classes has no figures of them, and a line says so.

    Raises:
        XMError: as `few_shot`.
    """
    if settings.test:
        raise UsageError("--test names other data for a protocol that scores on such, as --protocol cross-dataset does")
    baselines = free(plugins, spec.aux)
    ran = run_strategies(spec, settings, plugins, listener, beside=baselines)
    told = [r for r in ran.results if r.split == "test"]

    def against(result: Result) -> Iterator[Result]:
        yield from beside(result, told, baselines)
        if (result.strategy, result.aux) != (spec.reference, spec.aux):
            reference = (spec.reference, spec.aux, result.shots)
            yield from (r for r in told if r.seed == result.seed and row_of(r) == reference)

    known = [r for r in told if not r.record.get(UNTOLD)]
    comparisons = tuple(compared(known, ran.hits.of, COLUMNS, lambda r: [o for o in against(r) if o in known]))
    return BaseToNewReport(spec.name, ran.results, comparisons, ran.left_out, ran.notes, ran.settings)
