"""What an alignment does: retrieval, gap and spread before and after, and what it costs the anchor."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm.alignment.pairing import Paired
from xm.evaluation.geometry import Geometry, alignment, modality_gap, uniformity
from xm.evaluation.retrieval import Retrieval, retrieve

FOLDS = 5
"""Of the anchor's probe."""


@dataclass(frozen=True)
class Look:
    """How two modalities lie in one space.

    Attributes:
        found: the anchor's items found by the new modality's.
        finds: the new modality's items found by the anchor's.
        geometry: of their pairs.
    """

    found: Retrieval
    finds: Retrieval
    geometry: Geometry


@dataclass(frozen=True)
class Diagnosis:
    """An alignment before and after.

    Attributes:
        modality: that was aligned with the anchor.
        pairs: that were looked at.
        held_out: whether no item of these pairs was learned from.
        before: where the spaces differ, after a random projection of the one into the other, as no cosine is defined.
        after: as aligned.
    """

    modality: str
    pairs: int
    held_out: bool
    before: Look
    after: Look


@dataclass(frozen=True)
class Probe:
    """What a classifier of the anchor alone reaches: accuracy by cross-validation.

    Attributes:
        before: in its own space.
        after: where the alignment moved it to; None if it did not.
        n: labelled items.
        classes: of them.
    """

    before: float
    after: float | None
    n: int
    classes: int

    @property
    def hurt(self) -> bool:
        """Whether the alignment costs more than a standard error of the accuracy."""
        if self.after is None:
            return False
        error: float = (self.before * (1 - self.before) / self.n) ** 0.5
        return self.after < self.before - error


def look(source: Tensor, target: Tensor, pairs: Paired) -> Look:
    """How the pairs lie.

    Args:
        source: (n, dim), the new modality's side, a row each pair.
        target: (n, dim), the anchor's.
        pairs: which items and groups they are, at least two items on each side; an item that is in several rows is
            one candidate.
    """
    keys: Sequence[object] = pairs.keys if pairs.group is not None else pairs.components()
    rows = [_first(keys, side) for side in (pairs.left, pairs.right)]
    groups = [[keys[i] for i in own] for own in rows]
    left, right = normalize(source, dim=1), normalize(target, dim=1)
    one, other = left[rows[0]], right[rows[1]]
    return Look(
        found=retrieve(one, other, groups[0], groups[1]),
        finds=retrieve(other, one, groups[1], groups[0]),
        geometry=Geometry(modality_gap(one, other), alignment(left, right), uniformity(one), uniformity(other)),
    )


def _first(keys: Sequence[object], side: Sequence[object]) -> list[int]:
    """The first row of each item and key."""
    rows: dict[tuple[object, int], int] = {}
    for i, (key, sample) in enumerate(zip(keys, side, strict=True)):
        rows.setdefault((key, id(sample)), i)
    return list(rows.values())


def probe(before: Tensor, after: Tensor | None, labels: Tensor, groups: Sequence[str | None]) -> Probe | None:
    """Ridge classifiers on the anchor's features, cross-validated; None if a class has too few items to do so.

    Args:
        before: (n, dim), features.
        after: (n, dim), the same items where they were moved to; None if they were not.
        labels: (n,).
        groups: (n), what is not split.
    """
    _, counts = torch.unique(labels, return_counts=True)
    distinct = {group if group is not None else i for i, group in enumerate(groups)}
    if len(counts) < 2 or int(counts.min()) < FOLDS or len(distinct) < FOLDS:
        return None
    found = [None if x is None else _accuracy(x, labels, groups) for x in (before, after)]
    assert found[0] is not None
    return Probe(found[0], found[1], len(labels), len(counts))


def _accuracy(x: Tensor, labels: Tensor, groups: Sequence[str | None]) -> float:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_score

    named = [f"group {group}" if group is not None else f"item {i}" for i, group in enumerate(groups)]
    data, y = normalize(x.float(), dim=1).cpu().numpy(), labels.cpu().numpy()
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer groups than folds
        return float(cross_val_score(RidgeClassifier(alpha=0.1), data, y, groups=named, cv=folds).mean())
