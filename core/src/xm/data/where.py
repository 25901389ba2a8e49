"""Conditions on samples' metadata: which of the target's samples take part, and which parts of test have a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from xm.data.types import Dataset, Sample
from xm.foundation.errors import UsageError, unknown

LEFT_OUT = "left out by --where"
"""The split of samples that do not hold the conditions."""

COVERED = {"train": ("train", "val"), "test": ("test",)}
"""The splits that a condition on one covers."""


@dataclass(frozen=True)
class Condition:
    """``SPLIT.NAME=VALUE[,VALUE]``: the target's samples of a split have one of the values.

    Attributes:
        split: "train", which covers val, or "test".
        name: of the metadata.
        values: of which one is to hold.
    """

    split: str
    name: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """From what followed ``--where``.

        Raises:
            UsageError: if it has another form.
        """
        place, _, values = text.partition("=")
        split, _, name = place.strip().partition(".")
        wanted = tuple(dict.fromkeys(value for part in values.split(",") if (value := part.strip())))
        if not name or not wanted:
            raise UsageError(
                f"--where {text}: expected SPLIT.NAME=VALUE, as in train.language=en or test.language=de,ru"
            )
        if split not in COVERED:
            raise UsageError(f"--where {text}: {unknown('split', split, COVERED)}; train covers val")
        return cls(split, name, wanted)

    def __str__(self) -> str:
        return f"{self.split}.{self.name}={','.join(self.values)}"

    def holds(self, sample: Sample) -> bool:
        """Whether the sample has one of the values."""
        return sample.metadata.get(self.name) in self.values


def restricted(dataset: Dataset, target: str, conditions: Sequence[Condition]) -> Dataset:
    """A dataset with splits, in which samples of the target that do not hold all conditions of their split are none's.

    They stay in their places, of the split `LEFT_OUT`. If train has conditions, published draws are not used.

    Raises:
        UsageError: for metadata or a value that the target's samples do not have; it says what there is.
    """
    if not conditions:
        return dataset
    mine = [sample for sample in dataset.samples if sample.modality == target]
    for condition in conditions:
        _check(condition, mine)

    def kept(sample: Sample) -> bool:
        asked = (condition for condition in conditions if sample.split in COVERED[condition.split])
        return sample.modality != target or all(condition.holds(sample) for condition in asked)

    samples = tuple(sample if kept(sample) else replace(sample, split=LEFT_OUT) for sample in dataset.samples)
    learned = any(condition.split == "train" for condition in conditions)
    note = _note(mine, [sample for sample in mine if kept(sample)], conditions)
    if learned and dataset.draws:
        note += " Published draws are not used."
    return replace(dataset, samples=samples, draws={} if learned else dataset.draws, notes=(*dataset.notes, note))


def parts(conditions: Iterable[Condition]) -> dict[str, Callable[[Sample], bool]]:
    """The parts of test that have a row of their own: one a value, where a condition on test has several.

    Returns:
        A split's name, such as "test:language=de", to whether a sample of test is in it.
    """
    return {
        f"test:{single.name}={single.values[0]}": single.holds
        for condition in conditions
        if condition.split == "test" and len(condition.values) > 1
        for single in (replace(condition, values=(value,)) for value in condition.values)
    }


def _check(condition: Condition, samples: Sequence[Sample]) -> None:
    known = {name for sample in samples for name in sample.metadata}
    if condition.name not in known:
        raise UsageError(f"--where {condition}: {unknown('metadata', condition.name, known)}")
    there = (sample for sample in samples if sample.split in COVERED[condition.split])
    values = {sample.metadata[condition.name] for sample in there if condition.name in sample.metadata}
    for value in condition.values:
        if value not in values:
            what = f"{condition.name} in {condition.split}"
            raise UsageError(f"--where {condition}: {unknown(what, value, values)}")


def _note(before: Iterable[Sample], after: Iterable[Sample], conditions: Iterable[Condition]) -> str:
    """How many are left in each split, in words."""
    had, has = (Counter(sample.split for sample in samples) for samples in (before, after))
    asked = dict.fromkeys(split for condition in conditions for split in COVERED[condition.split])
    counts = ", ".join(f"{has[split]} of {had[split]} items of {split}" for split in asked if had[split])
    return f"Where {' and '.join(map(str, conditions))}: {counts}."
