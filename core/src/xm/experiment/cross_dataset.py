"""Cross-dataset transfer: learned on one dataset, scored on others (CoCoOp, Zhou et al., CVPR 2022, table 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from xm.data.open import open_dataset
from xm.data.types import Dataset
from xm.evaluation.report import Result
from xm.evaluation.significance import Hits
from xm.experiment.bench_report import BenchReport, BenchTable, over
from xm.experiment.bench_runs import run_of
from xm.experiment.bench_settings import BenchSettings
from xm.experiment.benchmark import once, reasons, run_strategies
from xm.experiment.protocol import Column, accuracy_table, beside, compared, difference_tables, free, shots_of
from xm.experiment.run import Run, load
from xm.foundation.errors import DataError, RunError, UsageError
from xm.foundation.events import Event, Listener, logged, silent
from xm.foundation.files import cache_dir
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import BenchmarkSpec

MEAN = "test:mean"
"""The split of the mean over the other datasets."""

APART = 1 << 40
"""Between the numbers of items of different datasets."""


def part(dataset: str) -> str:
    """The split of another dataset."""
    return f"test:dataset={dataset}"


@dataclass(frozen=True)
class CrossDatasetReport(BenchReport):
    """The report; its comparisons are with zero-shot.

    Attributes:
        others: names of the other datasets.
    """

    others: tuple[str, ...] = ()

    @property
    def columns(self) -> list[Column]:
        """The source, the others, and their mean where there are several."""
        return _columns(self.name, self.others)

    @property
    def tables(self) -> Sequence[BenchTable]:
        """Figures by dataset, and differences."""
        first, seeds = self.results[0], sorted({r.seed for r in self.results})
        title = (
            f"Learned on {self.name}, {shots_of(self)} a class: {first.metric} in % on {first.target} items of test of "
            f"{'it and ' if self.others else ''}{', '.join(self.others)}, {over(seeds)}; seconds a fit"
        )
        below = [
            "Each dataset is decided among its own classes, of which models learned no sample: they take them in by "
            f"their names, in the sentences around a name that {self.name} has."
        ]
        return [accuracy_table(self, title, self.columns, {}, below), *difference_tables(self, self.columns)]


def _columns(source: str, others: Sequence[str]) -> list[Column]:
    splits = tuple(map(part, others))
    columns = [Column(source, "test", ("test",)), *(Column(n, part(n), (part(n),)) for n in others)]
    return [*columns, Column("mean of the others", MEAN, splits)] if len(others) > 1 else columns


def cross_dataset(
    spec: BenchmarkSpec, settings: BenchSettings, plugins: PluginManager, listener: Listener = logged
) -> BenchReport:
    """Learn on all classes of one dataset, take in those of others by name (`xm.Strategy.reclass`), and score these.

    Shots are 16 by default. Zero-shot runs beside. Strategies whose models take in no new classes are left out. Of data
    with a test split that is scored, of others all.

    Raises:
        UsageError: if no other dataset is named, or none of the strategies takes in new classes.
        DataError: if a dataset can't be opened, or holds nothing to score.
        XMError: as `few_shot`.
    """
    if not settings.test:
        raise UsageError("name the datasets to score on: --test A,B (names, folders or files)")
    cache = settings.cache or cache_dir()
    others = _opened(settings.test, spec.modality, plugins, cache)
    fixed = {
        name: "its fitted models take in no new classes" for name, s in plugins.strategies.items() if not s.reclasses
    }
    baselines = free(plugins, spec.aux)
    ran = run_strategies(spec, settings, plugins, listener, beside=baselines, applies=fixed)
    left_out = dict(ran.left_out)
    results: list[Result] = []
    hits: dict[tuple[str, str], dict[str, Hits]] = {}
    runs: dict[Path, Run] = {}
    tell = once(listener, "warning")
    for result in (r for r in ran.results if r.split == "test" and r.strategy not in fixed):
        if result.strategy in left_out:
            continue
        folder = run_of(ran.out, result)
        if folder not in runs:
            runs = {folder: load(folder, plugins=plugins, device=settings.device, cache=cache, listener=tell)}
            runs[folder].listener = silent  # it would warn that what was trained on may be among what is scored
        try:
            found = dict(_scored(runs[folder], result, others))
        except (UsageError, RunError) as error:
            left_out[result.strategy] = str(error)
            listener(Event("warning", {"message": f"{result.strategy} is left out: {error}"}))
            continue
        results += [result, *(replace(r, split=part(name)) for name, (r, _) in found.items())]
        if len(found) > 1:
            value, n = fmean(r.value for r, _ in found.values()), sum(r.n for r, _ in found.values())
            results.append(replace(result, split=MEAN, value=value, n=n))
        own = {part(name): of for name, (_, of) in found.items()}
        hits[result.strategy, result.model] = {"test": ran.hits.of(result)["test"], **own}
    results = [r for r in results if r.strategy not in left_out]
    if not results:
        raise UsageError(f"no strategy applies: {reasons(left_out)}")
    told = [r for r in results if r.split == "test"]

    columns = _columns(spec.name, list(others))
    comparisons = compared(told, lambda r: hits[r.strategy, r.model], columns, lambda r: beside(r, told, baselines))
    return CrossDatasetReport(
        spec.name, tuple(results), tuple(comparisons), left_out, ran.notes, ran.settings, tuple(others)
    )


def _opened(given: Sequence[str], target: str, plugins: PluginManager, cache: Path) -> dict[str, tuple[str, Dataset]]:
    """The other datasets by their names, with what was given for them.

    Raises:
        DataError: if one holds nothing of the target to score.
        UsageError: if two have one name.
    """
    found: dict[str, tuple[str, Dataset]] = {}
    for source in given:
        dataset = open_dataset(source, plugins, cache)
        if dataset.name in found:
            raise UsageError(
                f"--test {source}: {found[dataset.name][0]} is called {dataset.name} too; rename one of them"
            )
        if not _classes(dataset, target):
            raise DataError(f"--test {source}: holds no labelled {target} to score")
        found[dataset.name] = source, dataset
    return found


def _classes(dataset: Dataset, target: str) -> list[str]:
    """The classes that what is scored is of."""
    mine = [s for s in dataset.samples if s.modality == target and s.label is not None]
    tested = {s.label for s in mine if s.split == "test"} or {s.label for s in mine}
    return [name for label, name in enumerate(dataset.classes) if label in tested]


def _scored(
    run: Run, result: Result, others: Mapping[str, tuple[str, Dataset]]
) -> Iterator[tuple[str, tuple[Result, Hits]]]:
    """A model's figures on each of the others, and what it had right."""
    for place, (name, (source, dataset)) in enumerate(others.items(), start=1):
        classes = _classes(dataset, result.target)
        new = [one for one in dict.fromkeys(dataset.classes) if one not in run.classes]
        found = run.decisions(source, pick=result.model, add_classes=new, only=classes)
        right = (found.labels == found.predicted).numpy()
        yield name, (found.result, Hits(np.arange(len(right)) + place * APART, right))
