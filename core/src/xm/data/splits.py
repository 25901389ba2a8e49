"""Splits: which samples are learned from, chosen on, and scored on."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from xm.data.content import identity, item_name
from xm.data.member import File
from xm.data.types import SPLITS, Dataset, Sample
from xm.foundation.errors import DataError, UsageError

if TYPE_CHECKING:
    from scipy.cluster.hierarchy import DisjointSet

DEFAULT_FRACTIONS = (0.5, 0.2, 0.3)
"""Train, val, test: CoOp's (Zhou et al. 2022) for datasets that come without splits, such as Caltech-101."""

UNLABELLED = "unlabelled"
"""The split of samples with neither label, split, group nor pair."""


def rng(*key: object) -> random.Random:
    """A generator that depends on the key alone: the same in every process and on every machine."""
    return random.Random("\x1f".join(map(str, key)))


def group_by(dataset: Dataset, regex: str) -> Dataset:
    """The dataset with each sample's `group` from its path, in posix form, or its text.

    The group is what the regex's first pair of parentheses matches, or the whole match if it has none.

    Raises:
        UsageError: if the regex does not compile.
        DataError: for a sample that it does not match.
    """
    try:
        pattern = re.compile(regex)
    except re.error as error:
        raise UsageError(f"--group-by {regex!r}: not a regular expression: {error}") from None
    return replace(dataset, samples=tuple(replace(s, group=_group(s, pattern)) for s in dataset.samples))


def _group(sample: Sample, pattern: re.Pattern[str]) -> str:
    item = sample.item
    if not isinstance(item, File | str):
        raise DataError(f"{item_name(item)}: has no path, so --group-by can't tell its group")
    match = pattern.search(item if isinstance(item, str) else item.as_posix())
    group = match and match[1 if pattern.groups else 0]
    if group is None:
        raise DataError(f"{item_name(item)}: --group-by {pattern.pattern!r} does not match")
    return group


def split_dataset(dataset: Dataset, *, fractions: Sequence[float] = DEFAULT_FRACTIONS, seed: int = 0) -> Dataset:
    """The dataset with a split for every sample.

    Samples that have one keep it. Others are drawn by `fractions` (train, val, test):

    - What shares a group or a pair stays together, across modalities, and follows a member that has a split.
    - Groups that hold several classes (folds, speakers) are counted out whole: shuffled, then taken in turn,
      so that seeds 0, 1, 2, … have disjoint groups for train until all have served (five folds at 0.2, 0,
      0.8: seed 0 to 4 use each fold once). If every group is of one class (recordings), this is done class by
      class.
    - All else is shuffled by modality and class. A class of two or more gets one in train and one in test at
      least. Copies (the same path or text twice) stay together.
    - Samples with neither label nor group nor pair become "unlabelled".

    Raises:
        UsageError: if the fractions are not three, not negative, with some for train and test, and sum to 1.
        DataError: if given splits cut a group or pair, or there are fewer groups than splits to fill.
    """
    shares = _checked(fractions)
    splits = [sample.split for sample in dataset.samples]
    if None not in splits:
        for unit in _units(dataset.samples):
            _given(unit, dataset.samples)
        return dataset
    grouped: list[list[int]] = []
    strata: dict[tuple[str, str], list[list[int]]] = defaultdict(list)
    for unit in _units(dataset.samples):
        members = [dataset.samples[i] for i in unit]
        given = _given(unit, dataset.samples)
        if given is None and any(s.group is not None for s in members):
            grouped.append(unit)
        elif given is None and any(s.pair is not None or s.label is not None for s in members):
            modalities = "+".join(sorted({s.modality for s in members}))
            strata[modalities, _class_of(unit, dataset)].append(unit)
        else:
            for i in unit:
                splits[i] = splits[i] or given or UNLABELLED
    drawn: list[tuple[list[int], str]] = []
    for (modalities, name), units in strata.items():
        rng("split", seed, modalities, name).shuffle(units)
        drawn += zip(units, _allot(len(units), shares), strict=True)
    for units in _families(grouped, dataset.samples):
        drawn += _draw_groups(units, dataset, shares, seed)
    for unit, split in drawn:
        for i in unit:
            splits[i] = split
    note = _note(shares, whole=bool(grouped))
    samples = tuple(
        sample if sample.split else replace(sample, split=split)
        for sample, split in zip(dataset.samples, splits, strict=True)
    )
    return replace(dataset, samples=samples, notes=(*dataset.notes, note))


def _checked(fractions: Sequence[float]) -> tuple[float, ...]:
    total = sum(fractions)
    good = len(fractions) == 3 and all(f >= 0 for f in fractions) and abs(total - 1) <= 1e-6
    if not good or not fractions[0] or not fractions[2]:
        shown = ",".join(f"{f:g}" for f in fractions)
        raise UsageError(
            f"split fractions {shown}: give three for train, val and test, such as 0.5,0.2,0.3, "
            "none negative, train and test above 0, with a sum of 1"
        )
    return tuple(f / total for f in fractions)


def _note(shares: Sequence[float], *, whole: bool) -> str:
    parts = ", ".join(f"{split} {share:.0%}" for split, share in zip(SPLITS, shares, strict=True))
    return f"Splits were drawn by {'whole groups' if whole else 'class'}: {parts}."


def _joined(links: Iterable[Iterable[Hashable]]) -> DisjointSet:
    """Disjoint sets of nodes, in which the nodes of each link are together; ``sets[node]`` names a node's set."""
    from scipy.cluster.hierarchy import DisjointSet

    sets = DisjointSet()
    for first, *others in links:
        sets.add(first)
        for other in others:
            sets.add(other)
            sets.merge(first, other)
    return sets


def _units(samples: Sequence[Sample]) -> list[list[int]]:
    """Indices of what must stay together: a group, a pair, copies, and whatever these link. In order."""
    sets = _joined(_links(samples))
    units: dict[Hashable, list[int]] = defaultdict(list)
    for i in range(len(samples)):
        units[sets[i]].append(i)
    return list(units.values())


def _links(samples: Sequence[Sample]) -> Iterator[list[Hashable]]:
    """Each sample's index with what ties it to others."""
    for i, sample in enumerate(samples):
        nodes: list[Hashable] = [i]
        if sample.group is not None:
            nodes.append(("group", sample.group))
        if sample.pair is not None:
            nodes.append(("pair", sample.pair))
        if sample.split is None:
            nodes.append((sample.modality, identity(sample.item)))
        yield nodes


def _given(unit: Sequence[int], samples: Sequence[Sample]) -> str | None:
    """The split that members of a unit were given, if any.

    Raises:
        DataError: if they were given different ones.
    """
    first: Sample | None = None
    for i in unit:
        sample = samples[i]
        if sample.split is not None:
            first = first or sample
            if sample.split != first.split:
                link = f"group {sample.group!r}" if sample.group is not None else f"pair {sample.pair!r}"
                raise DataError(
                    f"{item_name(sample.item)} is in {sample.split}, {item_name(first.item)} in "
                    f"{first.split}, but {link} must not be split; mend the splits or leave groups out"
                )
    return first.split if first else None


def _class_of(unit: Sequence[int], dataset: Dataset) -> str:
    """The class of all a unit's labelled members; "" if they are of several or none."""
    labels = {dataset.samples[i].label for i in unit} - {None}
    label = labels.pop() if len(labels) == 1 else None
    return "" if label is None else dataset.classes[label]


def _families(units: Sequence[list[int]], samples: Sequence[Sample]) -> list[list[list[int]]]:
    """Units of groups by family: modalities that share a group are split together, others apart."""
    sets = _joined([samples[i].modality for i in unit] for unit in units)
    families: dict[Hashable, list[list[int]]] = defaultdict(list)
    for unit in units:
        families[sets[samples[unit[0]].modality]].append(unit)
    return list(families.values())


def _draw_groups(
    units: Sequence[list[int]], dataset: Dataset, shares: Sequence[float], seed: int
) -> list[tuple[list[int], str]]:
    """Each group's split. All groups are one list, or, if each is of one class, one list a class."""

    def name(unit: Sequence[int]) -> str:
        return min(dataset.samples[i].group or "" for i in unit)

    lists: dict[str, list[list[int]]] = defaultdict(list)
    for unit in sorted(units, key=name):
        lists[_class_of(unit, dataset)].append(unit)
    if "" in lists:
        together = sorted(units, key=name)
        needed = sum(share > 0 for share in shares)
        if len(together) < needed:
            names = ", ".join(repr(name(unit)) for unit in together)
            raise DataError(
                f"{len(together)} groups ({names}) can't fill {needed} splits, because groups are kept "
                "whole; give finer groups, or a fraction of 0 to val"
            )
        return _in_turn(together, _allot(len(together), shares, fill=True), "", seed)
    return [pair for key, one in lists.items() for pair in _in_turn(one, _allot(len(one), shares), key, seed)]


def _in_turn(units: Sequence[list[int]], splits: Sequence[str], key: str, seed: int) -> list[tuple[list[int], str]]:
    """Units with splits. In a fixed shuffle, train moves on by its own length with each seed; once all had
    their turn, there is another shuffle."""
    train = max(1, splits.count("train"))
    turns = max(1, len(units) // train)
    order = list(units)
    rng("groups", key, seed // turns).shuffle(order)
    start = seed % turns * train
    return list(zip(order[start:] + order[:start], splits, strict=True))


def _allot(n: int, shares: Sequence[float], *, fill: bool = False) -> list[str]:
    """The splits of n units, in order train, val, test: by largest remainder, with at least one for train and
    (from n = 2) for test; with `fill`, for every split that has a share."""
    counts = [int(n * share) for share in shares]
    by_remainder = sorted(range(3), key=lambda k: (counts[k] - n * shares[k], k))
    for k in by_remainder[: n - sum(counts)]:
        counts[k] += 1
    least = [int(share > 0) for share in shares] if fill else [1, 0, int(n > 1)]
    for k in range(3):
        if counts[k] < least[k]:
            spare = [j for j in range(3) if counts[j] > least[j]]
            counts[max(spare, key=lambda j: counts[j] - n * shares[j])] -= 1
            counts[k] += 1
    return [split for split, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
