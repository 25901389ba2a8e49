"""Results and their summary: the JSON contract of ``xm train``."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from xm.plugins.plugin_manager import PluginManager

LIBRARIES = ("torch", "numpy", "safetensors", "scikit-learn")


@dataclass(frozen=True)
class Result:
    """One fitted and tested model.

    Attributes:
        target: the modality that was classified.
        aux: the auxiliary modalities; () is uni-modal.
        strategy: its name.
        init: the initialisation, by name.
        shots: samples of the target per class; 0 is zero-shot.
        seed: of the draw and the fit.
        split: what was scored: "test", all of it, or a part by its name, such as "test:language=de".
        metric: its name.
        value: in 0..1.
        n: how many items were scored.
        val: accuracy on val, which hyperparameters were chosen on; None without val.
        labels: what the model cost: labelled items of the target in train and in val; and how many items without a
            label it could learn from, "unlabelled", if some were asked for.
        transductive: whether answers depend on the other test items: by the decision rule, or as was found.
        model: folder in the run, relative.
        record: what the strategy chose.
        seconds: that fitting took, on this machine; it counts for nothing where results are compared.
        predictor: the decision rule, by name; "": the run's.
        coverage: the part of the items that were decided on, 0..1, by a rule that may abstain; None: all are.
    """

    target: str
    aux: tuple[str, ...]
    strategy: str
    init: str
    shots: int
    seed: int
    split: str
    metric: str
    value: float
    n: int
    val: float | None = None
    labels: dict[str, int] = field(default_factory=dict)
    transductive: bool = False
    model: str = ""
    record: dict[str, Any] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)
    predictor: str = ""
    coverage: float | None = None

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Result:
        """A result again, from the plain values that `dataclasses.asdict` made of it."""
        return cls(**{**values, "aux": tuple(values["aux"])})

    @property
    def cell(self) -> tuple[str, tuple[str, ...], str, int, str]:
        """What is averaged over seeds."""
        return self.target, self.aux, self.strategy, self.shots, self.split

    @property
    def scored(self) -> str:
        """What was scored: the model's folder, and behind it a part of test, if it is one."""
        return self.model if self.split == "test" else f"{self.model} on {self.split}"


@dataclass(frozen=True)
class Summary:
    """Results that differ in their seed alone; `std` is the sample standard deviation, 0 for one seed.

    `split` is what was scored, see `Result`.
    """

    target: str
    aux: tuple[str, ...]
    strategy: str
    shots: int
    mean: float
    std: float
    seeds: int
    split: str = "test"


def mean_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; 0 for one value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def summarise(results: Iterable[Result]) -> list[Summary]:
    """Mean and standard deviation over seeds, in the order of first appearance."""
    cells: dict[tuple[str, tuple[str, ...], str, int, str], list[float]] = {}
    for result in results:
        cells.setdefault(result.cell, []).append(result.value)
    return [Summary(*cell[:4], *mean_std(values), len(values), cell[4]) for cell, values in cells.items()]


@dataclass(frozen=True)
class Reference:
    """A figure to hold results against.

    Attributes:
        name: short.
        text: what it is, in words.
        labels: how many labels it used.
        mean: over seeds.
        std: over seeds.
        seeds: how many.
    """

    name: str
    text: str
    labels: int
    mean: float
    std: float
    seeds: int


@dataclass(frozen=True)
class Comparison:
    """The accuracy of one cell minus that of another.

    Attributes:
        strategy: of the cell.
        aux: its auxiliary modalities.
        against: strategy of the other cell, with `against_aux`.
        against_aux: its auxiliary modalities.
        shots: of both.
        difference: of the mean accuracies, -1..1.
        low: of its 95 % interval.
        high: of its 95 % interval.
        p: the two-sided p-value of no difference, by the same resampling; never below 1 / (resamples + 1).
        mcnemar: the exact p-value of McNemar's test on all seeds' discordant items. It takes seeds that share a test
            set for independent, so with several seeds it is too small.
        seeds: how many.
        split: what both were scored on, see `Result`.
    """

    strategy: str
    aux: tuple[str, ...]
    against: str
    against_aux: tuple[str, ...]
    shots: int
    difference: float
    low: float
    high: float
    p: float
    mcnemar: float
    seeds: int
    split: str = "test"


@dataclass(frozen=True)
class Prediction:
    """What a model says of an item.

    Attributes:
        item: as given.
        label: the class, in words; None if the item could not be read, or the rule abstains.
        probabilities: by class; of a rule that abstains what lacks to 1 is that of none of them.
        error: why the item could not be read.
        abstained: whether the rule decided for none of the classes.
    """

    item: Any
    label: str | None
    probabilities: Mapping[str, float]
    error: str | None = None
    abstained: bool = False


@dataclass(frozen=True)
class Report:
    """What ``train`` found.

    Attributes:
        results: every model.
        references: figures to hold them against.
        comparisons: of every set of auxiliary modalities with the target alone, and of the chosen strategy's rows with
            the baseline that needs no sample of the target, such as zero-shot; paired by test item and seed.
        notes: how the data were made and brought together, in words.
        run: the run's folder.
        versions: of Python packages and plugins.
        start: of each run that training started from: its folder, model, tasks' digests and labels.
    """

    results: tuple[Result, ...]
    references: tuple[Reference, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    run: str
    versions: dict[str, str]
    start: tuple[dict[str, Any], ...] = ()

    @property
    def summary(self) -> list[Summary]:
        """Means over seeds."""
        return summarise(self.results)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``xm train --json`` prints them."""
        return {
            "results": [asdict(result) for result in self.results],
            "summary": [asdict(summary) for summary in self.summary],
            "references": [asdict(reference) for reference in self.references],
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
            "notes": list(self.notes),
            "run": self.run,
            "versions": self.versions,
            **({"start": list(self.start)} if self.start else {}),
        }


def versions(manager: PluginManager) -> dict[str, str]:
    """Versions of xm, its plugins and the libraries that numbers depend on."""
    found = {plugin.distribution: plugin.version for plugin in manager.plugins() if plugin.distribution}
    for name in ("xm-core", *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a copy of the source on the path
            continue
    return dict(sorted(found.items()))
