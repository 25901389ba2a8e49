"""How the benchmarks go about it: settings, task draws, results and comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xm import BenchmarkSpec, UsageError
from xm.encoders import FeatureStore
from xm.evaluation import Comparison, Hits, Result, compare, mean_std
from xm.experiment import BenchSettings
from xm.foundation import Event, Listener, cache_dir, unknown
from xm.plugins import PluginManager, validated
from xm_aligners.croma.approaches import APPROACHES
from xm_aligners.croma.draws import HELD, TESTED
from xm_aligners.croma.features import ENCODERS, Featured, featured
from xm_aligners.croma.measure import Bench, Cell
from xm_aligners.croma.settings import ApproachConfig, TaskConfig
from xm_aligners.croma.tuned import TUNED
from xm_aligners.croma.worlds import WORLDS, data_folder

TASK = "task"

Rows = NDArray[np.bool_]


class Protocol:
    """One run of a benchmark. Everything that a user can have got wrong is checked before anything is computed.

    Args:
        spec: of the benchmark.
        settings: the user's.
        plugins: the plugin manager.
        listener: hears progress and results.
        approaches: those that are run where the user names none.

    Raises:
        XMError: for an unknown name, a wrong setting, or missing data.
    """

    def __init__(
        self,
        spec: BenchmarkSpec,
        settings: BenchSettings,
        plugins: PluginManager,
        listener: Listener,
        approaches: Sequence[str],
    ) -> None:
        self.spec, self.settings, self.plugins, self.listener = spec, settings, plugins, listener
        self.approaches = settings.strategies or tuple(approaches)
        for name in self.approaches:
            if name not in APPROACHES:
                raise unknown("approach", name, APPROACHES)
        if min(settings.shots) < 1:
            raise UsageError("shots: these approaches learn from 1 sample of each class at least")
        self.configs, self.task = _settings(settings.set)
        self.worlds = self._worlds()
        self._bench = Bench(plugins)
        self._hits: dict[tuple[str, str, str, int, int], Rows] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """How classes and pairs were formed."""
        kept = " and ".join(f"{count} {kind}s" for kind, count in TESTED.items())
        pairing = {
            "weak": "any two items of a class make a pair, and belong together crosswise",
            "strong": "each pair stands for itself",
        }[self.task.pairing]
        ways = sum(TESTED.values())
        return (
            *(found.world.note for found in self.worlds.values()),
            f"A task draw is a seed: {kept} drawn at random are tested, {ways} ways; the other classes are for "
            "meta-training, and no item of a tested class, of either side, is in it.",
            f"Queries come from {HELD['sound']} of ESC-10's five folds and {HELD['digit']} of FSDD's six speakers; "
            "pairs and few-shot samples come from the others. A value is the mean over "
            f"{self.task.supports} draws of few-shot samples.",
            f"Pairs are {self.task.pairing}: {self.task.pairs} fixed draws of each class; {pairing}. They were matched "
            "by class, so for the target they are labels in disguise.",
            "'learned from' names the task's two modalities; pre-training, unsupervised-meta and oracle learn from the "
            "target alone, and only oracle from its labels.",
        )

    def results(self, variant: str, task: Mapping[str, Any]) -> Iterator[Result]:
        """Every approach on every task and draw.

        Args:
            variant: follows the approach's name in tables; "" for none.
            task: settings of the draws that differ.
        """
        drawn = self.task.model_copy(update=dict(task))
        for name, found in self.worlds.items():
            for approach in self.approaches:
                for seed in self.settings.seeds:
                    yield from self._cell(variant, drawn, name, found, approach, seed)
                self.listener(Event("note", {"message": f"{name}: {_row(approach, variant)} done"}))

    def comparisons(self, variant: str) -> Iterator[Comparison]:
        """Every approach against the reference, on the same draws."""
        reference = self.spec.reference
        for world, approach, shots in self._compared(variant):
            source = (self.worlds[world].world.source,)
            cells = [
                (self._of(variant, world, approach, shots, seed), self._of(variant, world, reference, shots, seed))
                for seed in self.settings.seeds
            ]
            yield compare(
                [(_hits(one), _hits(other)) for one, other in cells],
                strategy=_row(approach, variant),
                aux=source,
                against=_row(reference, variant),
                against_aux=source,
                shots=shots,
            )

    def differences(self, variant: str) -> Iterator[str]:
        """CroMA minus the reference, with its standard error over task draws."""
        seeds = self.settings.seeds
        for world, approach, shots in self._compared(variant):
            if approach == "croma" and len(seeds) > 1:
                found = [
                    float(self._of(variant, world, approach, shots, s).mean())
                    - float(self._of(variant, world, self.spec.reference, shots, s).mean())
                    for s in seeds
                ]
                mean, std = mean_std(found)
                yield (
                    f"{world}, {shots} shots: {_row(approach, variant)} minus {self.spec.reference} {100 * mean:+.1f} "
                    f"points, standard error {100 * std / len(seeds) ** 0.5:.1f} over {len(seeds)} task draws"
                )

    def _compared(self, variant: str) -> Iterator[tuple[str, str, int]]:
        if self.spec.reference in self.approaches:
            for world in self.worlds:
                for approach in self.approaches:
                    if approach != self.spec.reference:
                        for shots in self.settings.shots:
                            yield world, approach, shots

    def _of(self, variant: str, world: str, approach: str, shots: int, seed: int) -> Rows:
        return self._hits[variant, world, approach, shots, seed]

    def _cell(
        self, variant: str, task: TaskConfig, name: str, found: Featured, approach: str, seed: int
    ) -> Iterator[Result]:
        config = self.configs[approach]
        file = (
            (self.settings.out or Path("runs/bench"))
            / self.spec.name
            / f"{name} {_row(approach, variant)} seed {seed}.safetensors"
        )
        cell = Cell(approach, config, task, seed, self.settings.shots)
        measured = self._bench.measure(cell, found, file)
        for shots, hits in measured.hits.items():
            self._hits[variant, name, approach, shots, seed] = hits
            result = Result(
                target=found.world.target,
                aux=(found.world.source,),
                strategy=_row(approach, variant),
                init=approach,
                shots=shots,
                seed=seed,
                split="test",
                metric="accuracy",
                value=float(hits.mean()),
                n=hits.shape[1],
                labels={"train": shots * len(measured.classes), "val": 0},
                record={
                    "task": name,
                    "tested": list(measured.classes),
                    "settings": config.model_dump(mode="json"),
                    "draw": task.model_dump(mode="json"),
                },
                seconds=measured.seconds,
            )
            yield result
            self.listener(Event("cell", asdict(result)))

    def _worlds(self) -> dict[str, Featured]:
        """The tasks, with their features."""
        name = self.settings.data
        if name is not None and name not in WORLDS:
            raise unknown("task", name, WORLDS)
        for modality in self.settings.encoders:
            if modality not in ENCODERS:
                raise unknown("modality", modality, ENCODERS)
        data = data_folder()
        store = FeatureStore((self.settings.cache or cache_dir()) / "features", listener=self.listener)
        return {
            key: featured(make(data), self.settings.encoders, store, self.plugins)
            for key, make in WORLDS.items()
            if name in (None, key)
        }


def _hits(right: Rows) -> Hits:
    """Of all tasks of a draw, whose items have the same places in each."""
    return Hits(np.arange(right.size), right.ravel())


def _row(approach: str, variant: str) -> str:
    return f"{approach}, {variant}" if variant else approach


def _settings(given: Mapping[str, Any]) -> tuple[dict[str, ApproachConfig], TaskConfig]:
    """Of each approach, the tuned settings and the user's over them; and of the draws."""
    own: dict[str, dict[str, Any]] = {name: dict(TUNED[name]) for name in APPROACHES}
    own[TASK] = {}
    for key, value in given.items():
        name, dot, field = key.partition(".")
        if not dot:
            raise UsageError(f"--set {key}: name the approach too, as in --set croma.{key}={value}")
        if name not in own:
            raise unknown("approach", name, own)
        own[name][field] = value
    task = validated(TaskConfig, own.pop(TASK), TASK)
    return {name: validated(ApproachConfig, values, name) for name, values in own.items()}, task
