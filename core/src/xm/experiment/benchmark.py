"""Benchmarks: every strategy on one dataset, on the same draws, laid out as the papers' tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xm.data.contents import Contents
from xm.data.open import open_dataset
from xm.evaluation.report import Comparison, Result
from xm.evaluation.significance import Hits, compare
from xm.experiment.bench_report import BenchReport
from xm.experiment.bench_runs import KeptHits, StrategyRuns, held
from xm.experiment.bench_settings import ALSO, SHARED, BenchSettings
from xm.experiment.settings import TrainSettings
from xm.foundation.errors import DataError, RunError, UsageError, unknown
from xm.foundation.events import Event, Listener, logged
from xm.foundation.files import cache_dir
from xm.plugins.blame import blaming
from xm.plugins.config import validated
from xm.plugins.names import unusable
from xm.plugins.plugin_manager import PluginManager, manager
from xm.plugins.specs import BenchmarkSpec

RUNS = Path("runs/bench")
"""Where runs of benchmarks are, unless a folder is named."""


@blaming()
def bench(
    name: str | None = None, *, listener: Listener = logged, plugins: PluginManager | None = None, **settings: Any
) -> BenchReport:
    """Run a benchmark by its name, or its protocol, `few_shot`, on any data; or another protocol on either's data.

    Args:
        name: of a `xm.BenchmarkSpec`; or, of none, the data: a folder, a file, a dataset's name; or, where `data` are
            given, a name of your own, under which what is measured on them adds up. None: those of `data`.
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
        if spec.protocol:
            raise UsageError(f"{name} is a protocol, and wants data: xm bench DATA --protocol {name}")
        if given.modality or given.aux:
            aux = f", with {', '.join(spec.aux)}" if spec.aux else ""
            raise UsageError(
                f"benchmark {name!r} is of {spec.modality}{aux}: take --modality and --aux away; for others name the "
                "data alone: xm bench --data SOURCE"
            )
    if given.protocol is not None:
        spec = _by_protocol(given.protocol, spec, found)
    report: BenchReport = spec.make(BenchReport, spec, given, found, listener)
    return report


def _by_protocol(name: str, spec: BenchmarkSpec, plugins: PluginManager) -> BenchmarkSpec:
    """The data of one spec by the protocol of that name.

    Raises:
        UsageError: if it is none, or the data's benchmark has a protocol of its own.
    """
    protocols = {spec.name: spec for spec in plugins.benchmarks.values() if spec.protocol}
    if name not in protocols:
        raise unknown("protocol", name, protocols, "xm plugins list")
    if spec.load() is not few_shot:
        raise UsageError(
            f"benchmark {spec.name!r} has a protocol of its own: take --protocol away, or name the data alone: "
            f"xm bench --data SOURCE --protocol {name}"
        )
    found = protocols[name]
    return replace(spec, target=found.target, settings={**spec.settings, **found.settings}, quick=found.quick)


def _of_data(name: str | None, settings: BenchSettings, plugins: PluginManager) -> tuple[BenchmarkSpec, BenchSettings]:
    """The protocol on data that no benchmark is for, against the default strategy on the target alone.

    Raises:
        UsageError: if there are none, or data of several modalities leave open which is the target.
        DataError: if they can't be opened.
    """
    data = name if settings.data is None else settings.data
    own = name if settings.data is not None else None
    wrong = "name a benchmark (xm plugins list), or data: xm bench --data SOURCE"
    if name is not None:
        known = (spec.name for spec in plugins.benchmarks.values() if not spec.protocol)
        wrong = str(unknown("benchmark", name, known, "xm plugins list"))
    if data is None:
        raise UsageError(wrong)
    if own is not None and (own.startswith(".") or unusable("benchmark", BenchmarkSpec(name=own, target=""))):
        raise UsageError(
            f"{own!r} can't be the name of a benchmark of your own: name it in letters, digits, - and _; or name the "
            f"data alone: xm bench --data {data}"
        )
    try:
        dataset = open_dataset(data, plugins, settings.cache or cache_dir())
    except UsageError:
        if settings.data is not None:
            raise
        raise UsageError(f"{wrong}, and there is no dataset, folder or file of that name") from None
    modalities = list(dict.fromkeys(sample.modality for sample in dataset.samples if sample.label is not None))
    if settings.modality is None and len(modalities) > 1:
        raise UsageError(
            f"{data}: holds {' and '.join(modalities)}; say which is to be classified: --modality {modalities[0]} "
            f"(others may help it: --aux {','.join(modalities[1:])})"
        )
    if settings.modality is None and not modalities:
        raise DataError(f"{data}: no item has a label")
    spec = BenchmarkSpec(
        name=own or dataset.name,
        target=f"{few_shot.__module__}:{few_shot.__name__}",
        modality=settings.modality or modalities[0],
        aux=settings.aux,
        reference=str(TrainSettings.model_fields["strategy"].default),
    )
    told: dict[str, Any] = {"data": data}
    if own is not None and settings.out is None:
        told["out"] = RUNS.joinpath(own, *([settings.protocol] if settings.protocol else []))
    return spec, settings.model_copy(update=told)


@dataclass(frozen=True)
class Ran:
    """What runs of strategies came to, with their hits; a protocol makes a report of it.

    Attributes:
        results: of all strategies, of every part of test.
        left_out: strategies that do not apply, and why.
        notes: how data were made and brought together.
        settings: of the benchmark, plain values.
        out: the folder of the runs.
        hits: of a result's model.
    """

    results: tuple[Result, ...]
    left_out: Mapping[str, str]
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    out: Path
    hits: KeptHits


def few_shot(
    spec: BenchmarkSpec, settings: BenchSettings, plugins: PluginManager, listener: Listener = logged
) -> BenchReport:
    """All strategies x subsets of auxiliary modalities x shots x seeds (Lin et al., CVPR 2023, table 1).

    The spec's own settings of training go before the defaults here, and what was given before both. A strategy that
    does not apply to the data or encoders is left out with its reason. What a folder that was named
    (`settings.out`) holds already is read instead of made, and is in the report, if only shots, seeds or strategies
    are others.

    Raises:
        UsageError: if no strategy applies.
        RunError: if a run that is there was made with other settings or from other data.
    """
    if settings.test:
        raise UsageError("--test names other data for a protocol that scores on such, as --protocol cross-dataset does")
    ran = run_strategies(spec, settings, plugins, listener)
    hits = {(r.strategy, r.aux, r.shots, r.seed): ran.hits.of(r)["test"] for r in ran.results if r.split == "test"}
    comparisons = tuple(_with_reference(spec.reference, ran.results, hits))
    return BenchReport(spec.name, ran.results, comparisons, ran.left_out, ran.notes, ran.settings)


def run_strategies(
    spec: BenchmarkSpec,
    settings: BenchSettings,
    plugins: PluginManager,
    listener: Listener,
    *,
    beside: Sequence[str] = (),
    applies: Mapping[str, str] | None = None,
) -> Ran:
    """What `few_shot` runs, for any protocol.

    Args:
        spec: of the data, with the protocol's settings of training.
        settings: of the benchmark.
        plugins: that strategies come from.
        listener: hears progress, warnings and results.
        beside: strategies that are run whichever the user names.
        applies: strategies that the protocol leaves out, and why.
    """
    wanted = tuple(dict.fromkeys((*settings.strategies, *beside))) if settings.strategies else tuple(plugins.strategies)
    own = _by_strategy(settings, wanted, plugins)
    left_out = {name: why for name, why in (applies or {}).items() if name in wanted}
    chosen = [name for name in wanted if name not in left_out]
    tell = once(listener)
    asked = settings.model_dump(include=(SHARED | ALSO) & settings.model_fields_set, exclude_none=True)
    shared = {"data": spec.name, **settings.model_dump(include=SHARED, exclude_none=True), **spec.settings, **asked}
    out = settings.out or _own_folder(spec.name, shared, own)
    more = [name for name in held(out, plugins) if name not in wanted] if settings.out else []
    results: list[Result] = []
    notes: dict[str, None] = {}
    contents = Contents()
    for done, strategy in enumerate((*chosen, *more)):
        given = {
            **shared,
            "modality": spec.modality,
            "aux": spec.aux,
            "strategy": strategy,
            "set": own.get(strategy, {}),
            "baselines": False,
            "out": out / strategy,
        }
        runs = StrategyRuns(validated(TrainSettings, given, "bench"), plugins, tell, contents)
        try:
            found, said = runs.results(more=strategy not in more)
        except (UsageError, RunError) as error:
            if isinstance(error, RunError) and strategy not in more:
                raise
            if str(error) not in left_out.values():  # what is wrong with the data is said once; all are named below
                tell(Event("warning", {"message": f"{strategy} is left out: {error}"}))
            left_out[strategy] = str(error)
            continue
        notes |= dict.fromkeys(said)
        results += found
        if strategy not in more:
            tell(Event("note", {"message": f"{strategy}: done ({done + 1} of {len(chosen)})"}))
    if joined := [name for name in more if name not in left_out]:
        tell(Event("note", {"message": f"{out} holds runs of {', '.join(joined)} too; they are in the tables"}))
    if not any(r.strategy in chosen for r in results):
        raise UsageError(f"no strategy applies: {reasons(left_out)}")
    used = {**settings.model_dump(mode="json"), **shared, "out": str(out)}
    hits = KeptHits(out, results, plugins)
    return Ran(tuple(results), left_out, tuple(notes), used, out, hits)


def reasons(left_out: Mapping[str, str]) -> str:
    """Why strategies are left out, each reason once; the reason alone where several all have the same."""
    if len(left_out) > 1 and len(said := set(left_out.values())) == 1:
        return said.pop()
    names: dict[str, list[str]] = {}
    for name, why in left_out.items():
        names.setdefault(why, []).append(name)
    return "; ".join(f"{', '.join(found)}: {why}" for why, found in names.items())


def once(listener: Listener, kind: str = "note") -> Listener:
    """The listener, which hears each event of that kind once: all that is compared has the same data."""
    heard: set[str] = set()

    def tell(event: Event) -> None:
        said = str(event.data.get("message"))
        if event.kind != kind or said not in heard:
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
    return RUNS / name / hashlib.blake2b(said.encode(), digest_size=4).hexdigest()


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
