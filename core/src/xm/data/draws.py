"""Drawing tasks from a dataset, by shots and seed."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import chain

from xm.data.content import identity, item_name
from xm.data.splits import rng
from xm.data.task import Digests, Task
from xm.data.types import SPLITS, Dataset, Sample
from xm.foundation.errors import DataError, UsageError, unknown

log = logging.getLogger("xm.data")

_SHOWN = 5


class Draws:
    """A dataset with splits, from which tasks are drawn: its index, and the permutations that were asked for.

    Raises:
        UsageError: if the dataset has no splits yet.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.modalities = sorted({sample.modality for sample in dataset.samples} | set(dataset.auxiliary))
        self._index: dict[tuple[str, str], list[Sample]] = defaultdict(list)
        self._classes: dict[tuple[str, str], dict[int, dict[Hashable, Sample]]] = defaultdict(dict)
        self._orders: dict[tuple[int, str, str, int], list[Sample]] = {}
        self._named: dict[str, tuple[Sample, ...]] = {}
        self._digests = Digests()
        self._tests: dict[str, tuple[Sample, ...]] = {}
        self._checked: set[tuple[str, bool, frozenset[int] | None]] = set()
        self._said: set[str] = set()
        for sample in dataset.samples:
            if sample.split is None:
                raise UsageError(f"dataset {dataset.name!r} has no splits yet; call xm.data.split_dataset first")
            if sample.label is not None:
                self._index[sample.split, sample.modality].append(sample)

    def task(
        self,
        *,
        target: str,
        aux: Sequence[str] = (),
        shots: int,
        seed: int,
        aux_shots: int | None = None,
        val_shots: int | None = None,
        names: Collection[str] = (),
        seen: frozenset[int] | None = None,
    ) -> Task:
        """Draw a task from a dataset with splits.

        A draw of the target that the dataset has as published for these shots and this seed is used as it is; its
        val only where `val_shots` is None. All else is drawn:

        Train has `shots` items a class, by a permutation that depends on seed, modality and class alone, so that
        few shots are among many. Val has `val_shots` a class from val; where the target has no val, from the far
        end of train's permutation, so that it stays the same as long as train leaves room. Test is all of test. A
        modality of `aux` has `aux_shots` a class from train, or what the dataset's `auxiliary` holds for it; to
        one of `names` come the class names in the dataset's templates, unless `auxiliary` has it.

        Args:
            aux_shots: `shots`, but at least 1, if None.
            val_shots: the smaller of `shots` and 4 (CoOp's), but at least 1, if None.
            names: modalities whose encoders read class names.
            seen: labels of the classes that train and val may hold target samples of; None: all. Auxiliary samples
                and test are of all classes.

        Raises:
            UsageError: for a modality that the data do not have, or a negative number of shots.
            DataError: if a class has nothing to learn from, test nothing to score, or an item is in two splits.
        """
        aux = tuple(dict.fromkeys(aux))
        aux_shots = max(1, shots) if aux_shots is None else aux_shots
        val_wanted = max(1, min(shots, 4)) if val_shots is None else val_shots
        if min(shots, aux_shots, val_wanted) < 0:
            raise UsageError(f"shots can't be negative (shots {shots}, aux {aux_shots}, val {val_wanted})")
        self.check(target, aux, names, learned=shots > 0, seen=seen)
        published = self.published(target, shots, seed, seen)
        train = {target: published.get("train") or self.take(target, shots, seed, seen)}
        for modality in aux:
            train[modality] = self.auxiliary(modality, aux_shots, seed, modality in names)
        val = published.get("val") if val_shots is None else None
        val = val or self.val(target, train[target], val_wanted, seed, seen)
        samples = {"train": train, "val": {target: val}, "test": {target: self.test(target)}}
        name, classes = self.dataset.name, self.dataset.classes
        digest = self._digests.of(classes, target, samples)
        return Task(name, classes, target, shots, aux_shots, seed, samples, digest, seen=seen)

    def of(self, split: str, modality: str) -> dict[int, dict[Hashable, Sample]]:
        """Label to different items, in order."""
        found = self._classes[split, modality]
        if not found:
            for sample in self._index.get((split, modality), ()):
                if sample.label is not None:
                    found.setdefault(sample.label, {}).setdefault(identity(sample.item), sample)
        return found

    def order(self, seed: int, split: str, modality: str, label: int) -> list[Sample]:
        """A class's items, permuted by the key."""
        key = (seed, split, modality, label)
        if key not in self._orders:
            order = list(self.of(split, modality).get(label, {}).values())
            rng("draw", seed, split, modality, self.dataset.classes[label]).shuffle(order)
            self._orders[key] = order
        return self._orders[key]

    def published(
        self, target: str, shots: int, seed: int, seen: frozenset[int] | None = None
    ) -> dict[str, tuple[Sample, ...]]:
        """Split to samples of a published draw; empty, with one warning a dataset, if there are only others."""
        draws = self.dataset.draws
        draw = draws.get((shots, seed), {})
        found = {
            split: tuple(s for s in samples if s.modality == target and (seen is None or s.label in seen))
            for split, samples in draw.items()
        }
        if found.get("train"):
            what = f"fewer {target} items in the published draw than its {shots} shots"
            self._warn_few(what, found["train"], shots, seen)
        elif shots and any(s.modality == target for d in draws.values() for drawn in d.values() for s in drawn):
            what = f"no draw of {target} was published for shots {shots}, seed {seed}"
            self._warn("published", f"{self.dataset.name}: {what}; it is drawn here, as is all that was not published")
        return found

    def take(self, modality: str, shots: int, seed: int, seen: frozenset[int] | None = None) -> tuple[Sample, ...]:
        """Up to `shots` items a class from train."""
        drawn = tuple(s for label in self._labels(seen) for s in self.order(seed, "train", modality, label)[:shots])
        self._warn_few(f"fewer {modality} items in train than the {shots} shots asked for", drawn, shots, seen)
        return drawn

    def auxiliary(self, modality: str, shots: int, seed: int, named: bool) -> tuple[Sample, ...]:
        """The samples of an auxiliary modality."""
        if modality in self.dataset.auxiliary:
            return self.dataset.auxiliary[modality]
        drawn = self.take(modality, shots, seed) if self.of("train", modality) else ()
        return drawn + (self.named(modality) if named else ())

    def named(self, modality: str) -> tuple[Sample, ...]:
        """The class names, as the data bring them, or in each template and with their descriptions."""
        given = tuple(sample for sample in self.dataset.names if sample.modality == modality)
        if given:
            return given
        if modality not in self._named:
            self._named[modality] = tuple(
                replace(said, modality=modality) for label in self._labels() for said in self.dataset.texts(label)
            )
        return self._named[modality]

    def val(
        self, target: str, train: Sequence[Sample], shots: int, seed: int, seen: frozenset[int] | None = None
    ) -> tuple[Sample, ...]:
        """Up to `shots` items a class from val; if there is none, from what `train` leaves of train."""
        if self.of("val", target):
            orders = [self.order(seed, "val", target, label) for label in self._labels(seen)]
        else:
            taken = {identity(sample.item) for sample in train}
            wholes = [self.order(seed, "train", target, label)[::-1] for label in self._labels(seen)]
            orders = [[s for s in whole if identity(s.item) not in taken] for whole in wholes]
        drawn = tuple(sample for order in orders for sample in order[:shots])
        self._warn_few(f"fewer {target} items for val than {shots}", drawn, shots, seen)
        return drawn

    def test(self, target: str) -> tuple[Sample, ...]:
        """All of test."""
        if target not in self._tests:
            self._tests[target] = tuple(self._index.get(("test", target), ()))
            self._warn_few(f"not scored, as test holds no {target} of them", self._tests[target], 1)
        return self._tests[target]

    def _labels(self, seen: frozenset[int] | None = None) -> Sequence[int]:
        """Of the seen classes; None: of all."""
        return range(len(self.dataset.classes)) if seen is None else sorted(seen)

    def _warn_few(self, what: str, drawn: Iterable[Sample], wanted: int, seen: frozenset[int] | None = None) -> None:
        """One warning for all classes that have less than was asked for."""
        counts = Counter(sample.label for sample in drawn)
        few = [label for label in self._labels(seen) if counts[label] < wanted]
        if few:
            shown = ", ".join(f"{self.dataset.classes[label]!r} has {counts[label]}" for label in few[:_SHOWN])
            more = f" and {len(few) - _SHOWN} more classes" if len(few) > _SHOWN else ""
            message = f"{self.dataset.name}: {what}: {shown}{more}"
            self._warn(message, message)

    def _warn(self, key: str, message: str) -> None:
        """Each key is warned of once a dataset."""
        if key not in self._said:
            self._said.add(key)
            log.warning("%s", message)

    def check(
        self,
        target: str,
        aux: Sequence[str],
        names: Collection[str],
        *,
        learned: bool,
        seen: frozenset[int] | None = None,
    ) -> None:
        """Raise what `task` says it raises."""
        if target not in self.modalities:
            raise unknown("modality", target, self.modalities)
        for modality in aux:
            if modality == target:
                raise UsageError(f"{target} is the target; it can't be auxiliary as well")
            if modality not in names and modality not in self.dataset.auxiliary and not self.of("train", modality):
                has = ", ".join(m for m in self.modalities if m in self.dataset.auxiliary or self.of("train", m))
                raise UsageError(
                    f"dataset {self.dataset.name!r} has no labelled {modality} items in train; it has: {has or 'none'}"
                )
        if (target, learned, seen) not in self._checked:
            self._check_classes(target, learned=learned, seen=seen)
            self._check_overlap(target)
            self._checked.add((target, learned, seen))

    def _check_classes(self, target: str, *, learned: bool, seen: frozenset[int] | None) -> None:
        classes = self.dataset.classes
        if len(classes) < 2:
            found = f"only {classes[0]!r}" if classes else "none"
            raise DataError(f"dataset {self.dataset.name!r}: two classes or more are needed; it has {found}")
        if not self._index.get(("test", target)):
            has = ", ".join(split for split, modality in self._index if modality == target)
            raise DataError(
                f"dataset {self.dataset.name!r}: no labelled {target} items in test, so nothing could be "
                f"scored (there are some in: {has or 'no split'})"
            )
        lacking = [label for label in self._labels(seen) if label not in self.of("train", target)]
        if learned and lacking:
            raise DataError(self._lacking(target, lacking))

    def _lacking(self, target: str, labels: Sequence[int]) -> str:
        """What to say of classes without an item in train; one with items in another split is named first."""
        more = f" ({len(labels) - 1} more classes are like it)" if len(labels) > 1 else ""
        elsewhere = ((label, split) for split in ("test", "val") for label in labels if label in self.of(split, target))
        label, split = next(elsewhere, (labels[0], None))
        name = f"dataset {self.dataset.name!r}: class {self.dataset.classes[label]!r}"
        if split is None:
            return f"{name} has no labelled {target} item; add some to train or leave the class out{more}"
        items = self.of(split, target)[label]
        file = item_name(next(iter(items.values())).item)
        return (
            f"{name} has {len(items)} {target} items in {split} ({file}) but none in train; "
            f"add some to train, leave the class out, or name it in a file of unseen classes: --unseen FILE{more}"
        )

    def _check_overlap(self, target: str) -> None:
        """No item is in two splits, in published draws neither."""
        splits = [(split, self._index.get((split, target), ())) for split in SPLITS]
        seen: dict[Hashable, str] = {}
        for split, samples in chain(splits, *(draw.items() for draw in self.dataset.draws.values())):
            for sample in samples:
                other = seen.setdefault(identity(sample.item), split)
                if other != split:
                    raise DataError(
                        f"{item_name(sample.item)}: is in {other} and in {split}; an item may be in one split only"
                    )
