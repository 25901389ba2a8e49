"""Pairs: which items of two modalities belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from xm.data.member import File
from xm.data.paths import missing, modalities_of
from xm.data.tables import existing, one_error, read_rows
from xm.data.types import Dataset, Sample
from xm.foundation.errors import DataError, UsageError

Keys: TypeAlias = Callable[[Sample, Dataset], Iterable[str]]
"""What a sample is paired by: samples of two modalities with a key in common belong together."""

PARTNERS = 4
"""Of an item whose key many others have."""


@dataclass(frozen=True)
class Paired:
    """Pairs of samples of two modalities, before they are embedded.

    Attributes:
        left: samples of the one modality.
        right: samples of the other; row i belongs to row i of `left`.
        keys: what each pair has in common.
    """

    left: tuple[Sample, ...] = ()
    right: tuple[Sample, ...] = ()
    keys: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.left)

    @property
    def items(self) -> tuple[int, int]:
        """How many items there are on each side."""
        return len({id(s) for s in self.left}), len({id(s) for s in self.right})

    @property
    def group(self) -> Tensor | None:
        """(n,) numbers of the keys, if some key has several items on a side; None if each pair stands for itself."""
        several = {(key, id(s)) for key, s in zip(self.keys, self.left, strict=True)}
        several |= {(key, id(s)) for key, s in zip(self.keys, self.right, strict=True)}
        numbers = {key: i for i, key in enumerate(dict.fromkeys(self.keys))}
        if len(several) <= 2 * len(numbers):
            return None
        return torch.tensor([numbers[key] for key in self.keys])

    def split(self, share: float, seed: int) -> tuple[Paired, Paired]:
        """Two parts without an item in common, the second with about `share` of the pairs; all in the first if it is 0.

        Pairs that have an item in common stay together. Where keys have several items, each key's items are divided, so
        that both parts have every key, and pairs across the parts are dropped.
        """
        if share == 0 or not len(self):
            return self, Paired()
        generator = torch.Generator().manual_seed(seed)
        if self.group is not None:
            one, other = self._held_items(share, generator)
        else:
            other = self._held_components(share, generator)
            one = other
        return self._rows([not held for held in one]), self._rows(other)

    def components(self) -> list[int]:
        """(n) numbers: pairs that an item links, directly or through others, have the same."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        ids = {item: i for i, item in enumerate(dict.fromkeys(map(id, (*self.left, *self.right))))}
        rows, columns = ([ids[id(s)] for s in side] for side in (self.left, self.right))
        links = coo_array(([1.0] * len(self), (rows, columns)), shape=(len(ids), len(ids)))
        found: list[int] = connected_components(links, directed=False)[1][rows].tolist()
        return found

    def _held_components(self, share: float, generator: torch.Generator) -> list[bool]:
        component = self.components()
        held: set[int] = set()
        for i in torch.randperm(len(self), generator=generator).tolist():
            if sum(c in held for c in component) >= max(1, round(share * len(self))):
                break
            held.add(component[i])
        return [c in held for c in component]

    def _held_items(self, share: float, generator: torch.Generator) -> tuple[list[bool], list[bool]]:
        held: set[int] = set()
        for side in (self.left, self.right):
            by_key: dict[str, dict[int, None]] = {}
            for key, sample in zip(self.keys, side, strict=True):
                by_key.setdefault(key, {})[id(sample)] = None
            for items in by_key.values():
                known = list(items)
                count = round(share * len(known)) if len(known) > 1 else 0
                held |= {known[i] for i in torch.randperm(len(known), generator=generator)[:count].tolist()}
        sides = [(id(one) in held, id(other) in held) for one, other in zip(self.left, self.right, strict=True)]
        return [one or other for one, other in sides], [one and other for one, other in sides]

    def _rows(self, kept: list[bool]) -> Paired:
        rows = [i for i, keep in enumerate(kept) if keep]
        left, right = (tuple(side[i] for i in rows) for side in (self.left, self.right))
        return Paired(left, right, tuple(self.keys[i] for i in rows))


def by_pair(sample: Sample, dataset: Dataset) -> Iterable[str]:
    """As the data say."""
    return () if sample.pair is None else (sample.pair,)


def by_stem(sample: Sample, dataset: Dataset) -> Iterable[str]:
    """Files of equal name up to the suffix; of one class, where they have one."""
    if not isinstance(sample.item, File):
        return ()
    return (sample.item.stem if sample.label is None else f"{dataset.classes[sample.label]}/{sample.item.stem}",)


def by_label_or_tag(sample: Sample, dataset: Dataset) -> Iterable[str]:
    """Weak pairs: a label or a tag in common."""
    label = () if sample.label is None else (dataset.classes[sample.label],)
    return dict.fromkeys((*label, *sample.tags))


RULES: Mapping[str, Keys] = {"own": by_pair, "stems": by_stem, "weak": by_label_or_tag}
"""How samples are paired, by name."""


def paired(
    dataset: Dataset, one: str, other: str, keys: Keys = by_pair, partners: int | None = None, seed: int = 1
) -> Paired:
    """Samples of two modalities that belong together, in the dataset's order.

    Args:
        dataset: with both.
        one: the modality on the left.
        other: the modality on the right.
        keys: what pairs them.
        partners: at most so many for each item of the larger side of a key, drawn in turn so that all items of the
            smaller side serve equally often; None: every pair there is.
        seed: of that draw.
    """
    sides: tuple[dict[str, list[Sample]], dict[str, list[Sample]]] = ({}, {})
    for sample in dataset.samples:
        if sample.modality in (one, other):
            for key in keys(sample, dataset):
                sides[sample.modality != one].setdefault(key, []).append(sample)
    generator = torch.Generator().manual_seed(seed)
    rows: list[tuple[Sample, Sample, str]] = []
    for key, lefts in sides[0].items():
        rights = sides[1].get(key, [])
        drawn = _drawn(len(lefts), len(rights), partners, generator)
        rows += [(lefts[i], rights[j], key) for i, j in drawn]
    return Paired(
        tuple(one for one, _, _ in rows), tuple(other for _, other, _ in rows), tuple(key for _, _, key in rows)
    )


def _drawn(n: int, m: int, partners: int | None, generator: torch.Generator) -> list[tuple[int, int]]:
    if partners is None or partners >= min(n, m):
        return [(i, j) for i in range(n) for j in range(m)]
    found: set[tuple[int, int]] = set()
    first, second = torch.randperm(n, generator=generator).tolist(), torch.randperm(m, generator=generator).tolist()
    for shift in range(partners):
        for k in range(max(n, m)):
            found.add((first[k % n], second[(k + shift) % m]) if n >= m else (first[(k + shift) % n], second[k % m]))
    return sorted(found)


def open_pairs(path: Path, suffixes: Mapping[str, str], reads_words: Callable[[str], bool]) -> Dataset:
    """A table of two columns as a dataset: each row a pair.

    The first line names the two modalities (``image,audio``); columns are separated as in a manifest. A cell is
    a path, relative to the table's folder; where no such file exists, it is words, if the modality's encoder reads
    them.
    A path or text that stands in several rows is one sample of several pairs.

    Args:
        path: the table.
        suffixes: which modality each file suffix is; of which only modalities are looked at.
        reads_words: whether a modality's items may be words.

    Raises:
        DataError: naming file and lines: the first three that are wrong, and how many more.
    """
    if not path.is_file():
        raise missing(path, "file")
    known = sorted(modalities_of(suffixes))
    rows = read_rows(path, known)
    line, header = rows[0] if rows else (1, [])
    if len(header) != 2 or header[0] == header[1] or not set(header) <= set(known):
        expected = f"expected two modalities, such as image,audio (known: {', '.join(known)})"
        raise DataError(f"{path}: line {line}: {expected}")
    words = {modality: reads_words(modality) for modality in header}
    pairs: dict[tuple[str, str], list[str]] = {}
    wrong = []
    for line, cells in rows[1:]:
        if len(cells) != 2 or not all(cells):
            wrong.append(f"line {line}: expected two cells, not {len([c for c in cells if c])}")
            continue
        for modality, cell in zip(header, cells, strict=True):
            if existing(path.parent, cell) is None and not words[modality]:
                wrong.append(f"line {line}: {path.parent / cell}: no such file")
            pairs.setdefault((modality, cell), []).append(str(line))
    one_error(path, wrong)
    if not pairs:
        raise DataError(f"{path}: has no pairs")
    samples = []
    for (modality, cell), lines in pairs.items():
        samples.append(Sample(existing(path.parent, cell) or cell, modality, tags=tuple(lines)))
    return Dataset(name=path.stem, classes=(), samples=tuple(samples))


def by_line(sample: Sample, dataset: Dataset) -> Iterable[str]:
    """As a table of pairs says: `open_pairs` keeps the lines of a sample as its tags."""
    return sample.tags


def readable(pairs: Paired, failed: Mapping[int, Exception]) -> Paired:
    """Without the pairs in these rows.

    Raises:
        DataError: if none is left.
    """
    if len(failed) == len(pairs) and failed:
        raise DataError(f"no pair can be read: {next(iter(failed.values()))}")
    return pairs._rows([i not in failed for i in range(len(pairs))])


def labelled_in_pairs(dataset: Dataset, modality: str) -> list[Sample]:
    """Labelled samples of a modality that belong together with samples of another, as the data say."""
    others = sorted({s.modality for s in dataset.samples if s.modality != modality})
    found = [sample for other in others for sample in paired(dataset, modality, other).left]
    return list({id(s): s for s in found if s.label is not None}.values())


def rule(name: str) -> Keys:
    """How samples are paired, by its name.

    Raises:
        UsageError: if there is no such rule, nor a file of that name.
    """
    if name not in RULES:
        raise UsageError(f"--pairs {name}: no such file, and none of {', '.join(RULES)}")
    return RULES[name]


def describe(pairs: Paired) -> str:
    """How many pairs of how many items, in words."""
    return f"{len(pairs)} pairs of {pairs.items[0]} and {pairs.items[1]} items"
