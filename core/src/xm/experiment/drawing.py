"""Drawing the tasks of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xm.data.content import identity
from xm.data.draws import Draws
from xm.data.noise import corrupted
from xm.data.splits import UNLABELLED
from xm.data.task import Task
from xm.data.types import Dataset, Sample
from xm.data.unlabelled import NONE, REST, SPLIT, Unlabelled, of_split
from xm.experiment.settings import TrainSettings, split_as
from xm.experiment.views import Views


class Drawing:
    """Tasks by shots and seed, as the settings want them.

    Args:
        settings: of the experiment.
        dataset: that tasks are drawn from.
        named: the auxiliary modalities that class names are samples of.
        given: unlabelled items of the user's, by modality, where the settings name some.
        key: tells those items from the dataset's.
    """

    def __init__(
        self,
        settings: TrainSettings,
        dataset: Dataset,
        named: frozenset[str],
        given: Mapping[str, Sequence[Sample]] | None = None,
        key: Callable[[Any], Hashable] = identity,
    ) -> None:
        self.settings = settings
        self.dataset = dataset
        self.named = named
        self.given = given or {}
        self.views = Views(settings.views)
        self.test_views = Views(settings.test_view)
        self._key = key
        self._draws: dict[int, Draws] = {}
        self._unlabelled: dict[int, Unlabelled] = {}

    def draws(self, seed: int) -> Draws:
        """The split dataset that tasks of a seed are drawn from."""
        key = seed if self.settings.resplit else 0
        if key not in self._draws:
            self._draws[key] = Draws(split_as(self.dataset, self.settings, seed))
        return self._draws[key]

    def task(self, shots: int, seed: int) -> Task:
        """The task with all auxiliary modalities; in train with views of the target's items, and asked-for noise."""
        task = self.draws(seed).task(
            target=self.settings.modality,
            aux=self.settings.aux,
            shots=shots,
            seed=seed,
            aux_shots=self.settings.aux_shots,
            val_shots=self.settings.val_shots if shots else 0,
            names=self.named,
        )
        train, val = ({**task.samples[split], task.target: self._target(task, split)} for split in ("train", "val"))
        train[task.target] = self.views.of(train[task.target])
        task = replace(task, samples={**task.samples, "train": train, "val": val})
        return task if self.settings.unlabelled == NONE else self.unlabelled(seed).of(task)

    def viewed(self, task: Task) -> dict[str, tuple[Sample, ...]]:
        """Test samples of a task in the views that are scored besides, by the split's name: "test:noise"."""
        return {f"test:{name}": samples for name, samples in self.test_views.each(task.test).items()}

    def unlabelled(self, seed: int) -> Unlabelled:
        """What the tasks of a seed may have without labels."""
        key, source = seed if self.settings.resplit else 0, self.settings.unlabelled
        if key not in self._unlabelled:
            dataset, limit = self.draws(seed).dataset, self.settings.unlabelled_limit
            own = {REST: "train", SPLIT: UNLABELLED}
            self._unlabelled[key] = (
                Unlabelled(dataset, of_split(dataset, own[source]), limit)
                if source in own
                else Unlabelled(dataset, self.given, limit, self._key)
            )
        return self._unlabelled[key]

    def _target(self, task: Task, split: str) -> tuple[Sample, ...]:
        """The target's samples of a split, with as many wrong labels as were asked for."""
        drawn, share = task.samples[split].get(task.target, ()), self.settings.label_noise
        return corrupted(drawn, len(task.classes), share, split, task.shots, task.seed) if share else drawn
