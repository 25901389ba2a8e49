"""Runs that a training starts from: what is taken of them, what they cost, and whether they saw test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from xm.data.content import item_name
from xm.data.contents import Contents
from xm.data.task import Task
from xm.data.types import Sample
from xm.encoders.choice import EncoderChoice
from xm.encoders.encoder import fingerprint_of
from xm.evaluation.report import Result
from xm.experiment.learned import Learned, taken_over, task_name
from xm.experiment.run import Run
from xm.foundation.errors import DataError, RunError, UsageError, described
from xm.foundation.layout import INDEX, MODEL, start_file
from xm.foundation.reading import read_weights
from xm.learning.model import Towers
from xm.learning.start import Start, begin
from xm.plugins.plugin_manager import PluginManager

COST = ("train", "val", "start")
"""What of a result's labels is paid for."""

Depth = tuple[str, int]
"""A modality, and how deep its encoder is opened."""


@dataclass
class Ancestor:
    """A run that a training starts from, by the model that `Run.pick` names.

    Attributes:
        name: of its folder, as it was given.
        run: itself.
    """

    name: str
    run: Run

    @cached_property
    def result(self) -> Result:
        """Of its model."""
        return self.run.pick()

    @property
    def labels(self) -> int:
        """Labelled items that its model cost, with those of its own starts."""
        return sum(self.result.labels.get(part, 0) for part in COST)

    @cached_property
    def depths(self) -> Mapping[str, int]:
        """How deep encoders were opened for its model."""
        return {modality: depth for modality, depth in self.run.depths(self.result).items() if depth}

    @cached_property
    def learned(self) -> Learned | None:
        """What it learned from; None if an older xm wrote it."""
        return Learned.of_run(self.run.folder)

    def tails(self) -> dict[str, dict[str, Tensor]]:
        """By modality, all in which the tails of its towers differ from the encoders'."""
        path = self.run.file(self.result.model, MODEL)
        towers = self.run.towers(self.result, {})
        try:
            found = self.run.strategy(self.result).tuned(towers, read_weights(path))
        except (KeyError, ValueError, RuntimeError) as error:
            raise RunError(f"{path}: its towers can't be taken over ({described(error)})") from error
        return {
            m: {**taken_over(self.run.folder, m, depth), **found.get(m, {})}
            for m, depth in self.depths.items()
            if found.get(m) or taken_over(self.run.folder, m, depth)
        }

    def model(self) -> nn.Module:
        """Its model, of all its modalities."""
        return self.run.model(self.result, {m: self.run.encoder(m) for m in self.run.index["ways"]})

    def why_not(self, modality: str, depth: int, encoders: EncoderChoice) -> str:
        """Why its tower of a modality does not fit, in words; "" if it does."""
        way = self.run.index["ways"].get(modality)
        if way is None or modality not in self.depths:
            return f"it opened no {modality} encoder"
        here = encoders[modality]
        if way["fingerprint"] != here.encoder.fingerprint():
            return f"its {modality} encoder is {way['encoder']}, here it is {here.reference}, or its weights differ"
        if self.depths[modality] != depth:
            return f"it opened {modality} at depth {self.depths[modality]}, here that is {depth}"
        return ""


@dataclass
class Starts:
    """The runs that a training starts from.

    Attributes:
        ancestors: themselves, in the user's order.
        taken: by modality and depth, whose tower is taken over: the number of the run, and the tensors.
    """

    ancestors: Sequence[Ancestor] = ()
    taken: dict[Depth, tuple[int, dict[str, Tensor]]] = field(default_factory=dict)

    @classmethod
    def open(cls, folders: Iterable[Path], plugins: PluginManager, device: str, cache: Path) -> Starts:
        """Open run folders.

        Raises:
            RunError: if one is none, or damaged.
        """
        return cls([Ancestor(str(folder), Run(folder, plugins, device, cache)) for folder in folders])

    def key(self) -> list[str]:
        """What tells the runs from others."""
        return [fingerprint_of(a.run.file(INDEX), a.run.file(a.result.model, MODEL)) for a in self.ancestors]

    def fit(self, wanted: Iterable[Mapping[str, int]], encoders: EncoderChoice, strategy: str, uses_runs: bool) -> None:
        """Find what is taken of each run: towers of the encoders that are opened, as deep as they are.

        Args:
            wanted: how deep the chosen strategy opens encoders, by modality.
            encoders: of the training.
            strategy: its name.
            uses_runs: whether it makes use of runs by itself.

        Raises:
            UsageError: if nothing of a run is of use; it says why.
        """
        opened = list(dict.fromkeys((m, depth) for depths in wanted for m, depth in depths.items() if depth))
        for number, ancestor in enumerate(self.ancestors):
            reasons = {key: ancestor.why_not(*key, encoders) for key in opened}
            tails = {} if all(reasons.values()) else ancestor.tails()
            untrained = {m: f"it did not train its {m} encoder" for m, _ in opened if m not in tails}
            reasons = {key: why or untrained.get(key[0], "") for key, why in reasons.items()}
            fitting = [key for key, why in reasons.items() if not why]
            new = [key for key in fitting if key not in self.taken]
            self.taken |= {key: (number, tails[key[0]]) for key in new}
            if new or uses_runs:
                continue
            if not opened:
                said = f"strategy {strategy!r} opens no encoder that could start from it"
            elif fitting:
                first = self.ancestors[self.taken[fitting[0]][0]].name
                said = f"what it has is taken from {first}; name one of the two"
            else:
                said = "; ".join(dict.fromkeys(reasons.values()))
            raise UsageError(f"--start {ancestor.name}: nothing is taken from it: {said}")

    def check(self, tasks: Mapping[tuple[int, int], Task], contents: Contents) -> list[str]:
        """Whether a run learned from items that are tested here; what can't be told, in words.

        Raises:
            DataError: if one did; it names the run and how many items.
        """
        tests = {id(task.test): task.test for task in tasks.values()}.values() if self.ancestors else ()
        keys = {key: sample for test in tests for sample in test if (key := Learned.key(sample, contents))}
        unsure = []
        for ancestor in self.ancestors:
            learned, place = ancestor.learned, task_name(ancestor.result.shots, ancestor.result.seed)
            seen = [] if learned is None else [keys[key] for key in learned.of(place) if key in keys]
            if seen:
                count = "1 item" if len(seen) == 1 else f"{len(seen)} items"
                raise DataError(
                    f"--start {ancestor.name}: it learned from {count} that this training tests "
                    f"({item_name(seen[0].item)}); take a run of the same split, or of other data"
                )
            if self._unsure(ancestor, tests, contents):
                unsure.append(
                    f"{ancestor.name} does not say from which items it learned (an older xm wrote it, or one that it "
                    "started from): whether they are tested here can't be told."
                )
        return unsure

    def _unsure(self, ancestor: Ancestor, tests: Iterable[Sequence[Sample]], contents: Contents) -> bool:
        """Whether an older run leaves open what it learned from: it does not if its test is the one of here."""
        index = ancestor.run.index
        if any(not start["known"] for start in index.get("start", ())):
            return True
        own = index.get("tests", {}).get(str(ancestor.result.seed))
        return ancestor.learned is None and any(contents.of(test) != own for test in tests)

    def given(self) -> tuple[Start, ...]:
        """What a context gets, new for each."""
        return tuple(
            Start(
                a.name,
                a.run.classes,
                partial(Ancestor.model, a),
                a.result.strategy,
                a.depths,
                a.result.record,
                a.labels,
            )
            for a in self.ancestors
        )

    def begin(self, towers: Towers, depths: Mapping[str, int], given: Sequence[Start]) -> Towers:
        """Have new towers begin where those of the runs ended; what was given, if anything, is marked as used."""
        for key in depths.items():
            if key in self.taken:
                number, tensors = self.taken[key]
                begin(towers[key[0]], tensors)
                if given:
                    given[number].used = True
        return towers

    def files(self) -> dict[Path, dict[str, Tensor]]:
        """What the new run must keep of the towers."""
        return {start_file(*key): tensors for key, (_, tensors) in self.taken.items()}

    def keys(self) -> set[bytes]:
        """Content keys of all that the runs learned from."""
        found: set[bytes] = set()
        for a in self.ancestors:
            if a.learned is not None:
                found |= set(a.learned.of(task_name(a.result.shots, a.result.seed)))
        return found

    def index(self) -> list[dict[str, Any]]:
        """Plain values, for the index and the report."""
        return [self._entry(number, ancestor) for number, ancestor in enumerate(self.ancestors)]

    def _entry(self, number: int, ancestor: Ancestor) -> dict[str, Any]:
        index, result = ancestor.run.index, ancestor.result
        place = task_name(result.shots, result.seed)
        nested = index.get("start", [])
        return {
            "run": str(ancestor.run.folder.resolve()),
            "model": result.model,
            "strategy": result.strategy,
            "towers": {m: depth for (m, depth), (taken, _) in self.taken.items() if taken == number},
            "labels": result.labels,
            "task": index.get("tasks", {}).get(place, ""),
            "contents": index.get("contents", {}).get(place, ""),
            "known": ancestor.learned is not None and all(start["known"] for start in nested),
            "start": nested,
        }

    def notes(self) -> list[str]:
        """In words, what is taken from each."""
        said = []
        for entry, ancestor in zip(self.index(), self.ancestors, strict=True):
            towers = " and ".join(f"the {m} encoder (depth {depth})" for m, depth in entry["towers"].items())
            what = f"{towers} as {entry['strategy']} left it" if towers else "what the strategy reads of it"
            said.append(
                f"start: {what} in {ancestor.name}, {entry['model']}; it cost {ancestor.labels} labels (train + val)."
            )
        return said
