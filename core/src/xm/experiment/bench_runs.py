"""The runs of a benchmark: a folder a strategy, and others beside it for shots and seeds that came later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xm.data.contents import Contents
from xm.data.where import parts
from xm.evaluation.report import Result
from xm.evaluation.significance import Hits
from xm.experiment.figures import by_class
from xm.experiment.run import Run, load
from xm.experiment.settings import TrainSettings
from xm.experiment.tested import hits_of
from xm.experiment.training import Experiment
from xm.foundation.errors import RunError
from xm.foundation.events import Listener, silent
from xm.foundation.files import read_tensors
from xm.foundation.layout import INDEX, TESTED
from xm.plugins.config import validated
from xm.plugins.plugin_manager import PluginManager

PLACES = {"out": None, "cache": None}
"""Settings that say where things lie, which makes no difference to results."""

CELLS = {"shots": (1,), "seeds": (1,)}
"""Settings that say which cells a run holds: runs that differ in these alone add up."""


def folders(out: Path, strategy: str) -> Iterator[Path]:
    """A strategy's runs in a benchmark's folder, in the order in which they were made; the next free name is last."""
    path, number = out / strategy, 1
    while True:
        yield path
        if not (path / INDEX).is_file():
            return
        number += 1
        path = out / f"{strategy}+{number}"


def run_of(out: Path, result: Result) -> Path:
    """The folder of the run in which a benchmark's result is.

    Raises:
        RunError: if there is none.
    """
    for path in folders(out, result.strategy):
        if (path / result.model / TESTED).is_file():
            return path
    raise RunError(f"{out}: no run of {result.strategy} holds {result.model}")


def held(out: Path, plugins: PluginManager) -> list[str]:
    """The strategies that a benchmark's folder holds runs of."""
    return [name for name in plugins.strategies if (out / name / INDEX).is_file()]


@dataclass
class StrategyRuns:
    """Runs of one strategy that are there, and new ones for what they lack.

    Attributes:
        settings: that all of them have, and the shots and seeds that are wanted; `out` is the first run's folder.
        plugins: that they are made with.
        listener: hears progress, warnings and results.
        contents: of items, kept over strategies.
    """

    settings: TrainSettings
    plugins: PluginManager
    listener: Listener
    contents: Contents

    def results(self, *, more: bool = True) -> tuple[list[Result], list[str]]:
        """Results and notes: of the runs that are there, and of new ones for wanted cells that these lack.

        Args:
            more: whether to make any; else what is there is read, and the strategy's own settings are whichever it has.

        Raises:
            RunError: if a run that is there has other settings, or was made from other data.
        """
        assert self.settings.out is not None
        *there, free = folders(self.settings.out.parent, self.settings.strategy)
        found: list[Result] = []
        notes: list[str] = []
        have: set[tuple[int, int]] = set()
        for path in there:
            run, made = self._checked(path, CELLS if more else {**CELLS, "set": {}})
            found += run.results
            notes += run.index["notes"]
            have |= self._cells(made.shots, made.seeds)
        for shots, seeds in self._lacking(have) if more else ():
            settings = self.settings.model_copy(update={"shots": shots, "seeds": seeds, "out": free})
            report = Experiment(settings, self.plugins, self.listener, self.contents).run()
            found += report.results
            notes += report.notes
            *_, free = folders(self.settings.out.parent, self.settings.strategy)
        return found, notes

    def _cells(self, shots: Sequence[int], seeds: Sequence[int]) -> set[tuple[int, int]]:
        """Shots and seed of each; shots are 0 where the target has no say."""
        spec = self.plugins.strategies.find(self.settings.strategy)
        return set(product(shots if spec.needs_target else (0,), seeds))

    def _lacking(self, have: set[tuple[int, int]]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Shots and seeds of the runs that are to be made: every wanted cell that is not there, in one of them."""
        target = self.plugins.strategies.find(self.settings.strategy).needs_target
        by_shots: dict[tuple[int, ...], list[int]] = {}
        for seed in self.settings.seeds:
            lacking = tuple(k for k in self.settings.shots if (k if target else 0, seed) not in have)
            if lacking:
                by_shots.setdefault(lacking, []).append(seed)
        return [(shots, tuple(seeds)) for shots, seeds in by_shots.items()]

    def _checked(self, folder: Path, free: Mapping[str, Any]) -> tuple[Run, TrainSettings]:
        """A run that is there and its settings, which are these but for those that are `free`."""
        run = load(folder, plugins=self.plugins, listener=self.listener)
        made = validated(TrainSettings, run.index["settings"], str(folder / INDEX))
        wanted, found = ({**s.model_dump(mode="json"), **PLACES, **free} for s in (self.settings, made))
        other = [name for name in wanted if wanted[name] != found[name]]
        if other:
            raise RunError(
                f"{folder}: holds a run with other settings ({', '.join(other)}); choose another --out, or remove it"
            )
        if "contents" in run.index:
            experiment = Experiment(made, self.plugins, silent, self.contents)
            if run.index["contents"] != self.contents.of_tasks(experiment.tasks()):
                raise RunError(f"{folder}: was made from other data; choose another --out, or remove it")
        return run, made


class KeptHits:
    """What models of a benchmark had right of each part of test, from the decisions that their runs keep.

    Args:
        out: the benchmark's folder.
        results: of all models.
        plugins: that the runs were made with.
    """

    def __init__(self, out: Path, results: Sequence[Result], plugins: PluginManager) -> None:
        self._out = out
        self._plugins = plugins
        self._by_model: dict[tuple[str, str], list[Result]] = {}
        self._indices: dict[Path, dict[str, Any]] = {}
        self._samples: Sequence[Any] | None = None
        for result in results:
            self._by_model.setdefault((result.strategy, result.model), []).append(result)

    def of(self, result: Result) -> dict[str, Hits]:
        """Of the model of a result, by the split: "test", "test:seen" …; a mean of others has none."""
        folder = run_of(self._out, result)
        if folder not in self._indices:
            self._indices[folder] = load(folder, plugins=self._plugins, listener=silent).index
        index, decided = self._indices[folder], read_tensors(folder / result.model / TESTED)
        results = self._by_model[result.strategy, result.model]
        found = hits_of(results, decided, self._rows(index, result.seed, decided))
        return {r.split: found[r.scored] for r in results if r.scored in found}

    def _rows(self, index: dict[str, Any], seed: int, decided: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of the decisions, which are of each part of test."""
        label = decided["label"]
        rows = {"test": torch.arange(len(label))}
        unseen = index.get("unseen", {}).get(str(seed))
        if unseen:
            classes = index["classes"]
            rows |= by_class(label, len(classes), {k for k, name in enumerate(classes) if name not in unseen})
        settings = validated(TrainSettings, index["settings"], INDEX)
        within = parts(settings.conditions)
        if within:
            if self._samples is None:
                self._samples = Experiment(settings, self._plugins, silent).dataset.samples
            tested = [self._samples[number] for number in decided["item"].tolist()]
            for name, holds in within.items():
                rows[name] = torch.tensor([i for i, s in enumerate(tested) if holds(s)], dtype=torch.long)
        return rows
