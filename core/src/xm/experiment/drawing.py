"""Drawing the tasks of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xm.alignment.maker import without_held_out
from xm.data.content import identity
from xm.data.draws import Draws
from xm.data.noise import corrupted
from xm.data.splits import UNLABELLED
from xm.data.task import Task
from xm.data.types import Dataset, Sample
from xm.data.unlabelled import NONE, REST, SPLIT, Unlabelled, check_unlabelled, of_split
from xm.data.unseen import listed, unseen_classes, without_samples
from xm.experiment.settings import TrainSettings, split_as
from xm.experiment.views import Views
from xm.foundation.errors import UsageError


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

    def unseen(self, seed: int) -> frozenset[int]:
        """The labels of the classes that tasks of a seed hold no sample of the target of; none, unless asked for."""
        given = self.settings.unseen
        return frozenset() if given is None else unseen_classes(given, self.dataset.classes, seed)

    def seen(self, seed: int) -> frozenset[int] | None:
        """The labels of the other classes; None where all are seen."""
        return frozenset(range(len(self.dataset.classes))) - self.unseen(seed) if self.settings.unseen else None

    def unseen_names(self) -> dict[str, list[str]]:
        """The unseen classes in words, by seed; empty where all are seen."""
        seeds = self.settings.seeds if self.settings.unseen else ()
        return {str(seed): [self.dataset.classes[label] for label in sorted(self.unseen(seed))] for seed in seeds}

    def pairable(self) -> Dataset:
        """What alignments may learn from: samples that are neither val, test nor unseen for any of the seeds."""
        seeds = self.settings.seeds
        unseen = frozenset().union(*map(self.unseen, seeds))
        return without_samples(
            without_held_out([self.draws(seed).dataset for seed in seeds]), self.settings.modality, unseen
        )

    def notes(self) -> Iterator[str]:
        """What is to be said of the data and of what is made of them, a sentence or two each."""
        yield from self.draws(self.settings.seeds[0]).dataset.notes
        yield from self._of_unseen()
        if self.settings.label_noise:
            yield f"{self.settings.label_noise:.0%} of the target's labels in train and val are wrong, on purpose."

    def _of_unseen(self) -> Iterator[str]:
        drawn = {labels: listed(labels, self.dataset.classes) for labels in map(self.unseen, self.settings.seeds)}
        if not self.settings.unseen:
            return
        first, names = next(iter(drawn.items()))
        by_seed = "by each seed others; by the first " if len(drawn) > 1 else ""
        yield (
            f"Unseen: {len(first)} of {len(self.dataset.classes)} classes have no {self.settings.modality} in train "
            f"and val ({by_seed}{names})."
        )
        yield (
            "Unseen means without a label here: the encoders may have met these classes when they were trained, and "
            "class names and auxiliary samples of them may be learned from."
        )

    def tasks(self, wanted: Iterable[tuple[int, int]], needy: Sequence[str]) -> dict[tuple[int, int], Task]:
        """Tasks by shots and seed.

        Args:
            wanted: their shots and seeds.
            needy: strategies that learn from unlabelled items.

        Raises:
            DataError: if one has no unlabelled item of the target, and they are needed.
            UsageError: if they are needed and were not asked for.
        """
        if needy and self.settings.unlabelled == NONE:
            raise UsageError(
                f"strategy {needy[0]!r} learns from unlabelled items: say where they are, with --unlabelled rest (what "
                "the draws leave of train), split (the split 'unlabelled') or a folder"
            )
        tasks = {(shots, seed): self.task(shots, seed) for shots, seed in wanted}
        if self.settings.unlabelled != NONE:
            check_unlabelled(tasks.values(), self.settings.unlabelled)
        return tasks

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
            seen=self.seen(seed),
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
        labels = range(len(task.classes)) if task.seen is None else sorted(task.seen)
        return corrupted(drawn, labels, share, split, task.shots, task.seed) if share else drawn
