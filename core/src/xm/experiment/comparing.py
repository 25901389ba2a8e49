"""Encoders compared: few-shot accuracy, zero-shot, seconds and memory an item, in one table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from xm.data.open import open_dataset
from xm.data.types import Sample
from xm.encoders.encoder import fingerprint_of
from xm.evaluation.report import Comparison, Result, Summary, summarise
from xm.evaluation.significance import Hits, compare
from xm.experiment.bench_runs import run_of
from xm.experiment.bench_settings import BenchSettings
from xm.experiment.benchmark import few_shot, once
from xm.experiment.encoder_cost import Cost, cost_of
from xm.foundation.errors import PluginError, UsageError, XMError
from xm.foundation.events import Event, Listener, logged
from xm.foundation.files import cache_dir, read_tensors
from xm.foundation.layout import TESTED
from xm.plugins.blame import blaming
from xm.plugins.config import Config, validated
from xm.plugins.plugin_manager import PluginManager, manager
from xm.plugins.specs import BenchmarkSpec


class CompareSettings(Config):
    """What ``xm encoders compare`` takes. Every field is a flag of the same name."""

    data: str | None = Field(None, description="a dataset's name, a folder or a file; none: the default dataset")
    modality: str = Field(description="the target, whose encoders are compared")
    encoders: tuple[str, ...] = Field(min_length=1, description="of the target, NAME or NAME:ARGUMENT")
    aux: tuple[str, ...] = Field((), description="auxiliary modalities; zero-shot needs one")
    aux_encoders: dict[str, str] = Field({}, description="auxiliary modality to encoder")
    strategy: str = Field("linear", description="how to adapt")
    set: dict[str, Any] = Field({}, description="strategies' own settings, STRATEGY.NAME=VALUE")
    templates: tuple[str, ...] = Field((), description="sentences around a class name, or names of such")
    shots: tuple[int, ...] = Field((1, 4, 16), min_length=1, description="samples per class of the target")
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1, description="of the draws")
    items: int = Field(64, ge=0, description="of test on which seconds and memory are measured; 0: they are not")
    device: str = Field("auto", description="auto, cpu, cuda, mps")
    out: Path | None = Field(None, description="folder of runs, one an encoder; none: below runs/encoders")
    cache: Path | None = Field(None, description="the cache's folder; none: XM_CACHE or the platform's")


@dataclass(frozen=True)
class Compared:
    """An encoder, and what it reached.

    Attributes:
        encoder: its reference.
        results: of the strategy and the baselines, with and without auxiliary modalities.
        against_first: of each row with the same row of the first encoder, paired by test item and seed.
        cost: seconds and memory an item; None if that was not or could not be measured.
        alone: why it was trained without the auxiliary modalities that were asked for; "" if it was not.
    """

    encoder: str
    results: tuple[Result, ...]
    against_first: tuple[Comparison, ...]
    cost: Cost | None
    alone: str = ""

    @property
    def summary(self) -> list[Summary]:
        """Means over seeds."""
        return summarise(result for result in self.results if result.split == "test")


@dataclass(frozen=True)
class EncoderReport:
    """What `compare_encoders` found.

    Attributes:
        name: of the data.
        encoders: those that could be used, in the order they were named.
        left_out: the others, and why.
        settings: plain values.
    """

    name: str
    encoders: tuple[Compared, ...]
    left_out: Mapping[str, str]
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@blaming()
def compare_encoders(
    *, listener: Listener = logged, plugins: PluginManager | None = None, **settings: Any
) -> EncoderReport:
    """Train with each of several encoders of the target on the same draws, and measure what each costs.

    An encoder that can't be brought together with the auxiliary modalities is trained without them, and one that can't
    be used is left out; both with the reason. Runs that are there already, made with the same settings, are read
    instead of made.

    Args:
        listener: hears progress, warnings and notes.
        plugins: the plugin manager; the process's own if None.
        **settings: the fields of `CompareSettings`.

    Raises:
        UsageError: for wrong settings, or if no encoder can be used.
        XMError: for whatever is wrong with the data.
    """
    found, given = plugins or manager(), validated(CompareSettings, settings, "encoders compare")
    if len(set(given.encoders)) < len(given.encoders):
        raise UsageError(f"--encoders {','.join(given.encoders)}: names one twice; name each once")
    dataset = open_dataset(given.data, found, given.cache or cache_dir())
    out = given.out or _own_folder(dataset.name, given)
    tell = once(listener)
    rows: list[Compared] = []
    left_out: dict[str, str] = {}
    hits: dict[str, dict[_Row, Hits]] = {}
    for reference in given.encoders:
        try:
            results, hits[reference], alone = _trained(reference, dataset.name, given, out, found, tell)
        except XMError as error:
            left_out[reference] = str(error)
            tell(Event("warning", {"message": f"{reference} is left out: {error}"}))
            continue
        against = _against(hits[reference], hits[rows[0].encoder]) if rows else ()
        cost, items = None, _items(dataset.samples, given)
        try:
            cost = cost_of(reference, given.modality, items, given.device, found.files()) if items else None
        except PluginError as error:
            tell(Event("warning", {"message": str(error)}))
        rows.append(Compared(reference, results, tuple(against), cost, alone))
        tell(Event("note", {"message": f"{reference}: done ({len(rows)} of {len(given.encoders)})"}))
    if not rows:
        raise UsageError(f"no encoder can be used: {'; '.join(f'{name}: {why}' for name, why in left_out.items())}")
    return EncoderReport(dataset.name, tuple(rows), left_out, {**given.model_dump(mode="json"), "out": str(out)})


_Row = tuple[str, tuple[str, ...], int, int]
"""Strategy, auxiliary modalities, shots, seed."""


def _own_folder(name: str, given: CompareSettings) -> Path:
    """Where runs are if no folder is named: one for all choices of encoders, shots and seeds, which add up."""
    said = given.model_dump_json(include={"data", "modality", "aux", "aux_encoders", "strategy", "set", "templates"})
    return Path("runs/encoders") / name / fingerprint_of(said)[:8]


def _trained(
    reference: str, name: str, given: CompareSettings, out: Path, plugins: PluginManager, listener: Listener
) -> tuple[tuple[Result, ...], dict[_Row, Hits], str]:
    """Results with one encoder of the target, what each model had right, and why without auxiliaries, if so."""
    folder = out / re.sub(r"[^\w.-]+", "-", reference)
    baselines = tuple(spec.name for spec in plugins.strategies.values() if spec.baseline and given.aux)
    strategies = tuple(dict.fromkeys((given.strategy, *baselines)))
    try:
        return *_run(reference, name, given, strategies, given.aux, folder, plugins, listener), ""
    except UsageError as error:
        if not given.aux:
            raise
        alone = folder.with_name(f"{folder.name}-alone")
        found = _run(reference, name, given, (given.strategy,), (), alone, plugins, listener)
        listener(Event("warning", {"message": f"{reference} is trained without {', '.join(given.aux)}: {error}"}))
        return *found, str(error)


def _run(
    reference: str,
    name: str,
    given: CompareSettings,
    strategies: tuple[str, ...],
    aux: tuple[str, ...],
    folder: Path,
    plugins: PluginManager,
    listener: Listener,
) -> tuple[tuple[Result, ...], dict[_Row, Hits]]:
    shared = given.model_dump(include={"data", "set", "templates", "seeds", "device", "cache"})
    settings = BenchSettings(
        **{key: value for key, value in shared.items() if key in given.model_fields_set},
        shots=given.shots,
        strategies=strategies,
        encoders={**{m: ref for m, ref in given.aux_encoders.items() if m in aux}, given.modality: reference},
        out=folder,
    )
    spec = BenchmarkSpec(name=name, target="", modality=given.modality, aux=aux)
    report = few_shot(spec, settings, plugins, listener)
    hits = {
        (r.strategy, r.aux, r.shots, r.seed): Hits.of(read_tensors(run_of(folder, r) / r.model / TESTED))
        for r in report.results
        if r.split == "test"
    }
    return report.results, hits


def _against(hits: Mapping[_Row, Hits], first: Mapping[_Row, Hits]) -> Iterator[Comparison]:
    """Each row with the same of the first encoder, on the test items that both could read."""
    seeds: dict[tuple[str, tuple[str, ...], int], list[int]] = {}
    for strategy, aux, shots, seed in (row for row in hits if row in first):
        seeds.setdefault((strategy, aux, shots), []).append(seed)
    for (strategy, aux, shots), drawn in seeds.items():
        pairs = [_shared(hits[strategy, aux, shots, s], first[strategy, aux, shots, s]) for s in drawn]
        yield compare(pairs, strategy=strategy, aux=aux, against=strategy, against_aux=aux, shots=shots)


def _shared(one: Hits, other: Hits) -> tuple[Hits, Hits]:
    """Both on the items that both have."""
    _, rows, others = np.intersect1d(one.item, other.item, assume_unique=True, return_indices=True)
    return one[rows], other[others]


def _items(samples: Sequence[Sample], given: CompareSettings) -> list[Any]:
    """The first of the target's items, those of test before others."""
    own = [sample for sample in samples if sample.modality == given.modality]
    return [sample.item for sample in sorted(own, key=lambda sample: sample.split != "test")[: given.items]]
