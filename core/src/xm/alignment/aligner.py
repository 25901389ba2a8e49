"""Aligners: maps from one embedding space into another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import methodcaller
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from xm.encoders.encoder import Encoder, Prototypes
from xm.foundation.events import Listener, silent
from xm.learning.checkpoint import Checkpoint
from xm.learning.stream import Inputs, Stream
from xm.plugins.config import Configurable


@dataclass(frozen=True)
class Pairs:
    """n pairs of items that belong together.

    Attributes:
        source: trunk outputs of the source's side, n rows, at the aligner's depth.
        target: trunk outputs of the target's side, n rows.
        group: (n,) whole numbers: pairs of equal group belong together crosswise as well (weak pairs: a shared label
            or tag); None where each pair stands for itself.
    """

    source: Inputs
    target: Inputs
    group: Tensor | None = None

    def __len__(self) -> int:
        return len(next(iter(self.source.values())))


@dataclass(frozen=True)
class AlignContext:
    """What an aligner may use to map `source` into `target`'s space.

    Attributes:
        source: the encoder whose space is left.
        target: the encoder whose space is home.
        namer: an encoder that accepts names, in a space of its own; None if there is none.
        pairs: items of both spaces that belong together; None if there are none.
        features: trunk outputs of an encoder for items, cached.
        labelled: labelled trunk outputs of the target's modality; None if there are none.
        seed: of whatever is drawn.
        device: where to compute.
        listener: hears steps.
        checkpoint: where a long fit keeps how far it came, to go on from there; None keeps nothing.
        tail: the source's tail, opened as deep as the aligner asks (`Aligner.depth`), to be trained; None at depth 0.
        prototypes: an encoder's own classifier, with what descriptions say of its classes; None if it has none.
    """

    source: Encoder
    target: Encoder
    namer: Encoder | None
    pairs: Pairs | None
    features: Callable[[Encoder, Sequence[Any]], Inputs]
    labelled: Stream | None = None
    seed: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    listener: Listener = silent
    checkpoint: Checkpoint | None = None
    tail: nn.Module | None = None
    prototypes: Callable[[Encoder], Prototypes | None] = methodcaller("prototypes")

    def lacks_pairs(self, least: int = 1) -> str | None:
        """Why an aligner that needs so many pairs can't serve; None if it can."""
        what = f"pairs of {self.source.modality} and {self.target.modality} items"
        if self.pairs is None:
            return f"there are no {what}"
        if len(self.pairs) < least:
            return f"at least {least} {what} are needed, not {len(self.pairs)}"
        return None


@dataclass(frozen=True)
class Sides:
    """Maps of both sides into one space.

    Attributes:
        source: the source's map.
        target: the target's map; None where the target's space stays as it is.
    """

    source: nn.Module
    target: nn.Module | None = None


class Aligner(Configurable, ABC):
    """Makes a map: a module from the source's trunk outputs to vectors (n, dim) of the target's space.

    The vectors need no unit length; the tower around the map sees to that. The map's tensors alone must
    suffice to restore it.

    Attributes:
        uses_pairs: whether it learns from pairs, which results then say.
    """

    uses_pairs: ClassVar[bool] = False

    @property
    def moves_target(self) -> bool:
        """Whether, with its settings, it maps the target's side too, into a space that is neither's own.

        Such an aligner writes `sides`, and serves ``xm align``, not ``xm train``, where the target's space is home.
        Once a modality moved the target, ``xm align`` brings others there by `fit`.
        """
        return False

    @property
    def depth(self) -> int:
        """How deep, with its settings, the source's encoder is opened (`Encoder.split`).

        If it is, the source's map is an `xm.learning.Behind` with `AlignContext.tail` in it, trained; its pairs' source
        side are trunk outputs at that depth. Such an aligner serves ``xm align`` alone.
        """
        return 0

    @abstractmethod
    def why_not(self, context: AlignContext) -> str | None:
        """None if this aligner can make the map, else what is missing."""

    @abstractmethod
    def fit(self, context: AlignContext) -> nn.Module:
        """The source's map, frozen; the target's space stays as it is.

        Raises:
            UsageError: if it can only map both sides.
        """

    def sides(self, context: AlignContext) -> Sides:
        """The maps of both sides, frozen; by default the target's space stays as it is."""
        return Sides(self.fit(context))

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The map of either side again, from its `state_dict`; of an opened encoder, what is behind the tail."""
