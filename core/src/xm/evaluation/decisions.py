"""What a model decided on items, one by one: figures of each class, what was taken for what, and what was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xm.evaluation.report import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

NONE = -1
"""The decision for none of the classes."""


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class, from scikit-learn.

    Attributes:
        name: of the class.
        precision: of the items that were taken for it, the part that is of it; 0..1, and 0 where there are none.
        recall: of its items, the part that was taken for it; 0..1.
        f1: their harmonic mean, 0..1.
        n: its items.
        predicted: the items that were taken for it.
    """

    name: str
    precision: float
    recall: float
    f1: float
    n: int
    predicted: int


@dataclass(frozen=True)
class Wrong:
    """An item that a model had wrong.

    Attributes:
        item: itself; None where items were not looked up.
        label: its class.
        predicted: what it was taken for; None: for none of the classes.
        probability: of that, 0..1; None where it is not known.
    """

    item: Any
    label: str
    predicted: str | None
    probability: float | None


@dataclass(frozen=True, eq=False)
class Decisions:
    """What a model decided on n labelled items.

    Attributes:
        result: the figure of them all.
        classes: in words, told apart.
        labels: (n,) int64.
        predicted: (n,) int64; -1 for none of the classes.
        items: n of them; () where they were not looked up.
        probabilities: (n, classes), 0..1; None where they are not known.
    """

    result: Result
    classes: tuple[str, ...]
    labels: Tensor
    predicted: Tensor
    items: Sequence[Any] = ()
    probabilities: Tensor | None = None

    @property
    def occurring(self) -> list[int]:
        """The classes that items are of or were taken for, ascending."""
        return sorted({*self.labels.tolist(), *self.predicted.tolist()} - {NONE})

    def per_class(self) -> list[ClassFigures]:
        """Figures of each class that occurs, in the order of the classes."""
        from sklearn.metrics import precision_recall_fscore_support

        rows, predicted = self.occurring, self.predicted.tolist()
        found = precision_recall_fscore_support(self.labels.tolist(), predicted, labels=rows, zero_division=0)
        figures = zip(rows, *(part.tolist() for part in found), strict=True)
        return [ClassFigures(self.classes[k], p, r, f1, n, predicted.count(k)) for k, p, r, f1, n in figures]

    def confusion(self) -> NDArray[np.int64]:
        """Counts (classes, classes + 1): a row for each label, a column for each decision; the last is for none."""
        from sklearn.metrics import confusion_matrix

        known = [*range(len(self.classes)), NONE]
        counts: NDArray[np.int64] = confusion_matrix(self.labels.tolist(), self.predicted.tolist(), labels=known)
        return counts[:-1]

    def wrong(self) -> list[Wrong]:
        """The items that were not taken for what they are: the surest first, else in their order."""
        found = []
        for row in (self.labels != self.predicted).nonzero().flatten().tolist():
            label, predicted = int(self.labels[row]), int(self.predicted[row])
            chance = None
            if self.probabilities is not None and predicted != NONE:
                chance = float(self.probabilities[row, predicted])
            taken = None if predicted == NONE else self.classes[predicted]
            found.append(Wrong(self.items[row] if self.items else None, self.classes[label], taken, chance))
        return sorted(found, key=lambda wrong: -(wrong.probability or 0.0))
