"""Unlabelled items beside a task: what may be learned from it, but for its labels."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from xm.data.content import identity
from xm.data.files import files_below
from xm.data.open import open_dataset
from xm.data.paths import missing, modality_of, suffixes_among
from xm.data.splits import UNLABELLED, rng
from xm.data.task import Digests, Task
from xm.data.types import Dataset, Sample
from xm.foundation.errors import DataError
from xm.plugins.plugin_manager import PluginManager

NONE, REST, SPLIT = "none", "rest", "split"
"""Where unlabelled items come from: nowhere; train's items that a task did not draw; the split of that name."""

LIMIT = 4096
"""Items a modality, unless asked for otherwise: an encoder that is opened as a whole keeps raw inputs in memory."""


class Unlabelled:
    """Unlabelled items of tasks, drawn by seed: labels, pairs and tags withheld, in an order that says nothing.

    No item is one of val or test, or of a group that has some there; none is in the task's train.

    Args:
        dataset: with splits.
        candidates: by modality, such as `of_split` gives them.
        limit: items of a modality in a task.
        key: tells items apart; a folder of the user's may hold copies of test under other names.
    """

    def __init__(
        self,
        dataset: Dataset,
        candidates: Mapping[str, Sequence[Sample]],
        limit: int = LIMIT,
        key: Callable[[Any], Hashable] = identity,
    ) -> None:
        self.candidates = candidates
        self.limit = limit
        self._key = key
        held_out = [sample for sample in dataset.samples if sample.split in ("val", "test")]
        self._held_out = {key(sample.item) for sample in held_out}
        self._groups = {sample.group for sample in held_out} - {None}
        self._orders: dict[tuple[int, str], list[tuple[Hashable, Sample]]] = {}
        self._withheld: dict[int, tuple[Sample, Sample]] = {}
        self._digests = Digests()

    def of(self, task: Task) -> Task:
        """The task with its unlabelled items, of the modalities that it learns from."""
        taken = {
            self._key(sample.item)
            for split in task.samples.values()
            for samples in split.values()
            for sample in samples
        }
        found = {m: self._drawn(m, task.seed, taken) for m in task.samples["train"] if self.candidates.get(m)}
        digest = self._digests.of((), task.target, {UNLABELLED: found})
        return replace(task, unlabelled=found, unlabelled_digest=digest)

    def _drawn(self, modality: str, seed: int, taken: set[Hashable]) -> tuple[Sample, ...]:
        order = self._order(seed, modality)
        return tuple(sample for key, sample in order if key not in taken)[: self.limit]

    def _order(self, seed: int, modality: str) -> list[tuple[Hashable, Sample]]:
        """All candidates that are held out of nothing, shuffled: few shots leave what many leave, and more."""
        place = (seed, modality)
        if place not in self._orders:
            found: dict[Hashable, Sample] = {}
            for sample in self.candidates[modality]:
                key = self._key(sample.item)
                if key not in self._held_out and sample.group not in self._groups:
                    found.setdefault(key, self._without_label(sample))
            order = list(found.items())
            rng("unlabelled", seed, modality).shuffle(order)
            self._orders[place] = order
        return self._orders[place]

    def _without_label(self, sample: Sample) -> Sample:
        """The same object for the same sample each time, as the pool knows samples by identity."""
        if id(sample) not in self._withheld:
            self._withheld[id(sample)] = (sample, replace(sample, label=None, pair=None, tags=()))
        return self._withheld[id(sample)][1]


def of_split(dataset: Dataset, split: str) -> dict[str, list[Sample]]:
    """The samples of a split by modality, labelled or not."""
    found: dict[str, list[Sample]] = {}
    for sample in dataset.samples:
        if sample.split == split:
            found.setdefault(sample.modality, []).append(sample)
    return found


def check_unlabelled(tasks: Iterable[Task], source: str) -> None:
    """Every task has an unlabelled item of the target.

    Raises:
        DataError: that names the first which has none.
    """
    for task in tasks:
        if not task.unlabelled.get(task.target):
            raise DataError(
                f"dataset {task.dataset!r}: --unlabelled {source} leaves no {task.target} item for shots {task.shots}, "
                f"seed {task.seed}; take fewer --shots, or name a folder of unlabelled items: --unlabelled DIR"
            )


def open_unlabelled(
    source: str, modalities: Iterable[str], plugins: PluginManager, cache: Path
) -> dict[str, list[Sample]]:
    """Items of a folder of the user's by modality, however deep, whatever its folders are called; or of other data.

    Args:
        source: a folder; else what ``--data`` takes.
        modalities: that are wanted; files of others are passed over.
        plugins: that know suffixes and data.
        cache: for data that are made.

    Raises:
        DataError: if there is no such folder, or nothing of these modalities in it.
        UsageError: if it is neither a folder nor the name of data.
    """
    path, wanted = Path(source).expanduser(), set(modalities)
    found: dict[str, list[Sample]] = {}
    if path.is_dir():
        suffixes = suffixes_among(plugins.suffixes(), wanted)
        for file in files_below(path):
            modality = modality_of(file, suffixes)
            if modality is not None:
                found.setdefault(modality, []).append(Sample(file, modality, split=UNLABELLED))
    elif not path.exists() and source not in plugins.datasets:
        raise DataError(
            f"--unlabelled {source}: {missing(path, 'folder')}; or say {REST} (what the draws leave of train) "
            f"or {SPLIT} (the split called {UNLABELLED!r})"
        )
    else:
        for sample in open_dataset(source, plugins, cache).samples:
            if sample.modality in wanted:
                found.setdefault(sample.modality, []).append(sample)
    if not found:
        raise DataError(f"--unlabelled {source}: holds no item of {' or '.join(sorted(wanted))}")
    return found
