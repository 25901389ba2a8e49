"""What meta-training draws its tasks from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from xm import Stream

FEATURES, SOURCE, TARGET = "features", "source", "target"
"""Names of tensors: of a stream of one modality, and of the two sides of a stream of pairs."""


@dataclass(frozen=True)
class Groups:
    """Rows by class, for drawing tasks.

    Attributes:
        y: (n,) labels, any whole numbers.
    """

    y: Tensor

    @cached_property
    def rows(self) -> list[Tensor]:
        """Row numbers of each class that occurs."""
        return [(self.y == label).nonzero()[:, 0] for label in torch.unique(self.y)]

    def task(self, ways: int, shots: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows of `ways` classes, `shots` of each (all of a class that has fewer), and their labels from 0.

        Which class has which label is drawn too.
        """
        chosen = torch.randperm(len(self.rows), generator=generator)[:ways].tolist()
        parts = [self.rows[c][torch.randperm(len(self.rows[c]), generator=generator)[:shots]] for c in chosen]
        labels = [torch.full((len(part),), i) for i, part in enumerate(parts)]
        return torch.cat(parts), torch.cat(labels)


@dataclass(frozen=True)
class MetaData:
    """What there is to meta-train on. Names are the paper's: the source has labels, the target is the new modality.

    Attributes:
        source: labelled items, ``features`` (n, dim).
        pairs: ``source`` and ``target``, a row each a pair; `y` are the pairs' classes, of which alignment tasks are
            drawn, None if unknown.
        crosswise: whether pairs of one class belong together crosswise (weak pairs).
        target: items of the target, ``features`` (m, dim), without labels.
        target_labels: what those items are said to be; for the oracle alone.
    """

    source: Stream
    pairs: Stream
    crosswise: bool = True
    target: Stream | None = None
    target_labels: Tensor | None = None

    @cached_property
    def source_groups(self) -> Groups:
        """Rows of the source by class."""
        return Groups(self.source.labels)

    @cached_property
    def pair_groups(self) -> Groups | None:
        """Pairs by class."""
        return None if self.pairs.y is None else Groups(self.pairs.y)

    @cached_property
    def target_groups(self) -> Groups:
        """Rows of the target by class.

        Raises:
            ValueError: if its labels are not there.
        """
        if self.target_labels is None:
            raise ValueError("the target has no labels")
        return Groups(self.target_labels)

    @property
    def unlabelled(self) -> Stream:
        """The target's items.

        Raises:
            ValueError: if there are none.
        """
        if self.target is None:
            raise ValueError("there are no items of the target")
        return self.target
