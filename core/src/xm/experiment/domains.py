"""Domain generalisation: learned in one domain, scored in others, by the samples' metadata (Zhou et al., IJCV 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from xm.data.where import Condition, parts
from xm.evaluation.report import Result
from xm.experiment.bench_report import BenchReport, BenchTable, over
from xm.experiment.bench_settings import BenchSettings
from xm.experiment.benchmark import run_strategies
from xm.experiment.protocol import Column, accuracy_table, beside, compared, difference_tables, free, row_of, shots_of
from xm.foundation.errors import UsageError
from xm.foundation.events import Listener, logged
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import BenchmarkSpec

MEAN = "test:mean"
"""The split of the mean over domains, each of which counts the same."""


@dataclass(frozen=True)
class DomainsReport(BenchReport):
    """The report; its comparisons are with zero-shot, and with the reference on the target alone.

    Attributes:
        splits: of the domains.
    """

    splits: tuple[str, ...] = ()

    @property
    def tables(self) -> Sequence[BenchTable]:
        """Figures by domain, and differences."""
        first, seeds = self.results[0], sorted({r.seed for r in self.results})
        learned = [text for text in self.settings["where"] if str(text).startswith("train.")]
        where = f", where {' and '.join(learned)}" if learned else ""
        title = (
            f"{self.name}, learned from {shots_of(self)} a class{where}: {first.metric} in % on {first.target} items "
            f"of test by domain, {over(seeds)}; seconds a fit"
        )
        columns = _columns(self.splits)
        return [accuracy_table(self, title, columns, {}, []), *difference_tables(self, columns)]


def _columns(splits: Sequence[str]) -> list[Column]:
    single = [Column(split.removeprefix("test:"), split, (split,)) for split in splits]
    return [*single, Column("mean", MEAN, tuple(splits))]


def domains(
    spec: BenchmarkSpec, settings: BenchSettings, plugins: PluginManager, listener: Listener = logged
) -> BenchReport:
    """A column for each value of a condition on test (``test.domain=sketch,clipart``), and their mean.

    As `few_shot`, with 16 shots by default. Zero-shot runs beside.

    Raises:
        UsageError: if no condition on test has several values.
        XMError: as `few_shot`.
    """
    if settings.test:
        raise UsageError("--test names other data for a protocol that scores on such, as --protocol cross-dataset does")
    splits = tuple(parts(map(Condition.parse, settings.where)))
    if not splits:
        raise UsageError(
            "name the domains that are scored by the samples' metadata, two at least, and those that are learned from: "
            "--where train.domain=photo --where test.domain=sketch,clipart (xm data show SOURCE lists metadata)"
        )
    baselines = free(plugins, spec.aux)
    ran = run_strategies(spec, settings, plugins, listener, beside=baselines)
    told = [r for r in ran.results if r.split == "test"]
    columns = _columns(splits)

    def against(result: Result) -> Iterator[Result]:
        yield from beside(result, told, baselines)
        reference = (spec.reference, (), result.shots)
        if row_of(result) != reference:
            yield from (r for r in told if r.seed == result.seed and row_of(r) == reference)

    comparisons = tuple(compared(told, ran.hits.of, columns, lambda r: list(against(r))))
    results = (*ran.results, *_means(ran.results, splits))
    return DomainsReport(spec.name, results, comparisons, ran.left_out, ran.notes, ran.settings, splits)


def _means(results: Sequence[Result], splits: Sequence[str]) -> Iterator[Result]:
    """The mean over domains, of each model."""
    by_model: dict[tuple[str, str], list[Result]] = {}
    for r in results:
        if r.split in splits:
            by_model.setdefault((r.strategy, r.model), []).append(r)
    for found in by_model.values():
        value, n = fmean(r.value for r in found), sum(r.n for r in found)
        yield replace(found[0], split=MEAN, value=value, n=n)
