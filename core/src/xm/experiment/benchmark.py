"""Benchmarks: every strategy on one dataset, on the same draws, laid out as the papers' tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from xm.data.contents import Contents
from xm.data.open import open_dataset
from xm.evaluation.report import Comparison, Result, Summary, summarise
from xm.evaluation.significance import Hits, compare
from xm.experiment.run import load
from xm.experiment.settings import TrainSettings
from xm.experiment.training import Experiment
from xm.foundation.errors import DataError, RunError, UsageError, unknown
from xm.foundation.events import Event, Listener, logged, silent
from xm.foundation.files import cache_dir, read_tensors
from xm.foundation.layout import INDEX, TESTED
from xm.plugins.blame import blaming
from xm.plugins.config import Config, validated
from xm.plugins.plugin_manager import PluginManager, manager
from xm.plugins.specs import BenchmarkSpec

SHARED = {"data", "encoders", "templates", "shots", "seeds", "device", "cache"}
"""Settings that training has too."""

PLACES = {"out": None, "cache": None}
"""Settings that say where things lie, which makes no difference to results."""


class BenchSettings(Config):
    """What ``xm bench`` takes. Every field is a flag of the same name."""

    data: str | None = Field(None, description="the data; none: the dataset of the benchmark's name")
    modality: str | None = Field(None, description="the target, of data that no benchmark is for; none: their only one")
    aux: tuple[str, ...] = Field((), description="auxiliary modalities, of data that no benchmark is for")
    strategies: tuple[str, ...] = Field((), description="which; none: every one that applies")
    set: dict[str, Any] = Field({}, description="strategies' own settings, STRATEGY.NAME=VALUE")
    encoders: dict[str, str] = Field({}, description="modality to encoder, NAME or NAME:ARGUMENT")
    templates: tuple[str, ...] = Field((), description="sentences around a class name, or names of such")
    shots: tuple[int, ...] = Field((1, 2, 4, 8, 16), min_length=1, description="samples per class of the target")
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1, description="of the draws")
    device: str = Field("auto", description="auto, cpu, cuda, mps")
    out: Path | None = Field(
        None, description="folder of runs, one a strategy; none: below runs/bench/NAME; those in it stay"
    )
    cache: Path | None = Field(None, description="the cache's folder; none: XM_CACHE or the platform's")


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


@blaming()
def bench(
    name: str | None = None, *, listener: Listener = logged, plugins: PluginManager | None = None, **settings: Any
) -> BenchReport:
    """Run a benchmark by its name, or its protocol, `few_shot`, on any data.

    Args:
        name: of a `xm.BenchmarkSpec`; or, of none, the data: a folder, a file, a dataset's name. None: those of `data`.
        listener: hears progress, warnings and results.
        plugins: the plugin manager; the process's own if None.
        **settings: the fields of `BenchSettings`.

    Raises:
        XMError: for whatever is wrong with name, settings or data.
    """
    found, given = plugins or manager(), validated(BenchSettings, settings, "bench")
    if name is None or name not in found.benchmarks:
        spec, given = _of_data(name, given, found)
    else:
        spec = found.benchmarks.find(name)
        if given.modality or given.aux:
            aux = f", with {', '.join(spec.aux)}" if spec.aux else ""
            raise UsageError(
                f"benchmark {name!r} is of {spec.modality}{aux}: take --modality and --aux away; for others name the "
                "data alone: xm bench --data SOURCE"
            )
    report: BenchReport = spec.make(BenchReport, spec, given, found, listener)
    return report


def _of_data(name: str | None, settings: BenchSettings, plugins: PluginManager) -> tuple[BenchmarkSpec, BenchSettings]:
    """The protocol on data that no benchmark is for, against the default strategy on the target alone.

    Raises:
        UsageError: if there are none, or data of several modalities leave open which is the target.
        DataError: if they can't be opened.
    """
    data = settings.data if name is None else name
    wrong = "name a benchmark (xm plugins list), or data: xm bench --data SOURCE"
    if name is not None:
        wrong = str(unknown("benchmark", name, plugins.benchmarks, "xm plugins list"))
    if data is None:
        raise UsageError(wrong)
    if name is not None and settings.data is not None:
        raise UsageError(f"{wrong}; data that no benchmark is for are named alone: xm bench --data {settings.data}")
    try:
        dataset = open_dataset(data, plugins, settings.cache or cache_dir())
    except UsageError:
        if name is None:
            raise
        raise UsageError(f"{wrong}, and there is no dataset, folder or file of that name") from None
    held = list(dict.fromkeys(sample.modality for sample in dataset.samples if sample.label is not None))
    if settings.modality is None and len(held) > 1:
        raise UsageError(
            f"{data}: holds {' and '.join(held)}; say which is to be classified: --modality {held[0]} (others may help "
            f"it: --aux {','.join(held[1:])})"
        )
    if settings.modality is None and not held:
        raise DataError(f"{data}: no item has a label")
    spec = BenchmarkSpec(
        name=dataset.name,
        target=f"{few_shot.__module__}:{few_shot.__name__}",
        modality=settings.modality or held[0],
        aux=settings.aux,
        reference=str(TrainSettings.model_fields["strategy"].default),
    )
    return spec, settings.model_copy(update={"data": data})


def few_shot(
    spec: BenchmarkSpec, settings: BenchSettings, plugins: PluginManager, listener: Listener = logged
) -> BenchReport:
    """All strategies x subsets of auxiliary modalities x shots x seeds (Lin et al., CVPR 2023, table 1).

    The spec's own settings of training go before the defaults here, and what was given before both. A strategy that
    does not apply to the data or encoders is left out with its reason. A run that `settings.out` holds
    already, made with the same settings, is read instead of made.
    """
    chosen = settings.strategies or tuple(plugins.strategies)
    own = _by_strategy(settings, chosen, plugins)
    tell = once(listener)
    results: list[Result] = []
    hits: dict[tuple[str, tuple[str, ...], int, int], Hits] = {}
    left_out: dict[str, str] = {}
    notes: dict[str, None] = {}
    asked = settings.model_dump(include=SHARED & settings.model_fields_set, exclude_none=True)
    shared = {"data": spec.name, **settings.model_dump(include=SHARED, exclude_none=True), **spec.settings, **asked}
    out = settings.out or _own_folder(spec.name, shared, own)
    contents = Contents()
    for done, strategy in enumerate(chosen):
        given = {
            **shared,
            "modality": spec.modality,
            "aux": spec.aux,
            "strategy": strategy,
            "set": own.get(strategy, {}),
            "baselines": False,
            "out": out / strategy,
        }
        try:
            found, said = _results(validated(TrainSettings, given, "bench"), plugins, tell, contents)
        except UsageError as error:
            left_out[strategy] = str(error)
            tell(Event("warning", {"message": f"{strategy} is left out: {error}"}))
            continue
        notes |= dict.fromkeys(said)
        results += found
        for result in (result for result in found if result.split == "test"):
            tested = read_tensors(out / strategy / result.model / TESTED)
            hits[strategy, result.aux, result.shots, result.seed] = Hits.of(tested)
        tell(Event("note", {"message": f"{strategy}: done ({done + 1} of {len(chosen)})"}))
    if not results:
        raise UsageError(f"no strategy applies: {_reasons(left_out)}")
    comparisons = tuple(_with_reference(spec.reference, results, hits))
    used = {**settings.model_dump(mode="json"), **shared, "out": str(out)}
    return BenchReport(spec.name, tuple(results), comparisons, left_out, tuple(notes), used)


def _reasons(left_out: Mapping[str, str]) -> str:
    """Why strategies are left out, each reason once."""
    names: dict[str, list[str]] = {}
    for name, why in left_out.items():
        names.setdefault(why, []).append(name)
    return "; ".join(f"{', '.join(found)}: {why}" for why, found in names.items())


def once(listener: Listener) -> Listener:
    """The listener, which hears each note once: all that is compared has the same data."""
    heard: set[str] = set()

    def tell(event: Event) -> None:
        said = str(event.data.get("message"))
        if event.kind != "note" or said not in heard:
            listener(event)
        heard.add(said)

    return tell


def _by_strategy(settings: BenchSettings, chosen: Sequence[str], plugins: PluginManager) -> dict[str, dict[str, Any]]:
    """Settings by strategy. All names are checked before anything is run."""
    for name in chosen:
        plugins.strategies.find(name)
    own: dict[str, dict[str, Any]] = {}
    for key, value in settings.set.items():
        strategy, dot, name = key.partition(".")
        if not dot:
            raise UsageError(f"--set {key}: name the strategy too, as in --set linear.{key}={value}")
        plugins.strategies.find(strategy)
        own.setdefault(strategy, {})[name] = value
    for name in {*chosen, *own}:
        plugins.strategies.find(name).load()(own.get(name))
    return own


def _own_folder(name: str, shared: Mapping[str, Any], own: Mapping[str, Any]) -> Path:
    """Where a benchmark's runs are if no folder is named: one for all settings but the choice of strategies."""
    said = json.dumps({"shared": shared, "own": own}, sort_keys=True, default=str)
    return Path("runs/bench") / name / hashlib.blake2b(said.encode(), digest_size=4).hexdigest()


def _results(
    settings: TrainSettings, plugins: PluginManager, listener: Listener, contents: Contents
) -> tuple[tuple[Result, ...], Sequence[str]]:
    """The results and notes of a run that is there, made with these settings and data; else of a new one."""
    assert settings.out is not None
    index = settings.out / INDEX
    if index.is_file():
        run = load(settings.out, plugins=plugins, listener=listener)
        made = validated(TrainSettings, run.index["settings"], str(index))
        wanted, found = ({**given.model_dump(mode="json"), **PLACES} for given in (settings, made))
        if wanted != found:
            raise RunError(f"{settings.out}: holds a run with other settings; choose another --out, or remove it")
        if "contents" in run.index:
            experiment = Experiment(settings, plugins, silent, contents)
            if run.index["contents"] != contents.of_tasks(experiment.tasks()):
                raise RunError(f"{settings.out}: was made from other data; choose another --out, or remove it")
        return run.results, run.index["notes"]
    report = Experiment(settings, plugins, listener, contents).run()
    return report.results, report.notes


def _with_reference(
    reference: str, results: Sequence[Result], hits: Mapping[tuple[str, tuple[str, ...], int, int], Hits]
) -> Iterator[Comparison]:
    """Every row with target samples against the reference that learned from the target alone, at the same shots."""
    seeds: dict[tuple[str, tuple[str, ...], int], list[int]] = {}
    for r in (r for r in results if r.split == "test"):
        if (reference, (), r.shots, r.seed) in hits and (r.strategy, r.aux) != (reference, ()):
            seeds.setdefault((r.strategy, r.aux, r.shots), []).append(r.seed)
    for (strategy, aux, shots), drawn in seeds.items():
        pairs = [(hits[strategy, aux, shots, seed], hits[reference, (), shots, seed]) for seed in drawn]
        yield compare(pairs, strategy=strategy, aux=aux, against=reference, against_aux=(), shots=shots)
