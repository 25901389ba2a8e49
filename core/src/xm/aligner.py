"""Aligners: maps from one embedding space into another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from xm.config import Configurable
from xm.encoder import Encoder, Inputs


@dataclass(frozen=True)
class Pairs:
    """n pairs of items that belong together.

    Attributes:
        source: trunk outputs of the source's side, n rows.
        target: trunk outputs of the target's side, n rows.
    """

    source: Inputs
    target: Inputs


@dataclass(frozen=True)
class AlignContext:
    """What an aligner may use to map `source` into `target`'s space.

    Attributes:
        source: the encoder whose space is left.
        target: the encoder whose space is home.
        namer: an encoder that accepts names, in a space of its own; None if there is none.
        pairs: items of both spaces that belong together; None if there are none.
        features: trunk outputs of an encoder for items, cached.
    """

    source: Encoder
    target: Encoder
    namer: Encoder | None
    pairs: Pairs | None
    features: Callable[[Encoder, Sequence[Any]], Inputs]


class Aligner(Configurable, ABC):
    """Makes a map: a module from the source's trunk outputs to vectors (n, dim) of the target's space.

    The vectors need no unit length; the tower around the map sees to that. The map's tensors alone must
    suffice to restore it.

    Attributes:
        uses_pairs: whether it learns from pairs, which results then say.
    """

    uses_pairs: ClassVar[bool] = False

    @abstractmethod
    def why_not(self, context: AlignContext) -> str | None:
        """None if this aligner can make the map, else what is missing."""

    @abstractmethod
    def fit(self, context: AlignContext) -> nn.Module:
        """The map, frozen."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The map again, from its `state_dict`."""
