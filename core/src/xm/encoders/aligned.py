"""Encoders with a map behind them, into another space: what aligners make, and `xm align` saves."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xm.encoders.encoder import Derived, Encoder, Tail, Trunk, fingerprint_of
from xm.foundation.errors import UsageError
from xm.learning.model import Behind
from xm.learning.stream import Inputs
from xm.plugins.plugin_manager import PluginManager


@dataclass(frozen=True)
class Alignment:
    """A way from one space into another.

    Attributes:
        map: from trunk outputs to vectors of the other space.
        aligner: its name; "" where the spaces are one and the map is the encoder's own tail.
        pairs: how many pairs it saw; 0 if it needs none.
        target: the other encoder's map; None where its space stays as it is.
        depth: of the trunk outputs that the map takes.
    """

    map: nn.Module
    aligner: str = ""
    pairs: int = 0
    target: nn.Module | None = None
    depth: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """What `restore` needs."""
        return dict(self.map.state_dict()) if self.aligner else {}


class Aligned(Derived):
    """An encoder, and behind it an alignment's map into another space.

    Args:
        base: the encoder.
        map: from its trunk outputs to vectors (n, dim) of the space.
        space: its name.
        dim: of the space.
        depth: of the trunk outputs that the map takes.
    """

    def __init__(self, base: Encoder, map: nn.Module, space: str, dim: int, depth: int = 0) -> None:
        super().__init__(base, depth)
        self.map = map.to(base.device)
        self.space = space
        self.dim = dim

    def fingerprint(self) -> str:
        parts = [part for name, value in sorted(self.map.state_dict().items()) for part in (name, _bytes(value))]
        return fingerprint_of("aligned", self.space, self.base.fingerprint(), self.depth, *parts)

    def derive(self, x: Inputs) -> Inputs:
        return {"features": self.map(x)}

    def split(self, depth: int) -> tuple[Trunk, nn.Module]:
        if depth == 0:
            return self.trunk, Tail()
        if self.base.prototypes() is not None:
            raise UsageError(f"the {self.modality} encoder can't be opened: its alignment may read its class scores")
        trunk, tail = self.base.split(depth)
        if not self.depth:
            return trunk, Behind(tail, self.map)
        if depth != self.depth:
            raise UsageError(
                f"the {self.modality} encoder was opened at depth {self.depth} by its alignment; open it at that "
                f"depth, not at {depth}"
            )
        return trunk, deepcopy(self.map).requires_grad_(True)

    def to(self, device: torch.device | str) -> Aligned:
        self.map.to(device)
        return super().to(device)


def _bytes(value: torch.Tensor) -> bytes:
    data: bytes = value.detach().cpu().contiguous().numpy().tobytes()
    return data


TAIL, MAP = "tail", "map"
"""The parts of an `xm.learning.Behind`, as its `state_dict` names them."""


def opened(alignment: Alignment, encoder: Encoder, depth: int) -> nn.Module:
    """The map with its encoder's last part in it, trainable: from trunk outputs at `depth`.

    Raises:
        UsageError: if the encoder can't be split there, or the alignment needs more than its features.
    """
    if depth == 0:
        return alignment.map
    tail = encoder.split(depth)[1]
    if not alignment.aligner:
        return tail
    if encoder.prototypes() is not None:
        raise UsageError(
            f"the {encoder.modality} encoder can't be opened: aligner {alignment.aligner!r} reads its class scores; "
            "use one that shares the home space"
        )
    return Behind(tail, alignment.map)


def restored(
    aligner: str,
    tensors: Mapping[str, Tensor],
    encoder: Encoder,
    manager: PluginManager,
    settings: Mapping[str, Any] | None = None,
    depth: int = 0,
) -> Alignment:
    """An alignment again, from its name, tensors, the aligner's settings, and how deep it opened the encoder."""
    if not aligner:
        return Alignment(encoder.split(0)[1])
    made = manager.aligners.find(aligner).load()(settings)  # Aligner is of a floor above
    if not depth:
        return Alignment(made.restore(tensors).eval().requires_grad_(False), aligner)
    tail = encoder.split(depth)[1]
    own: dict[str, dict[str, Tensor]] = {TAIL: {}, MAP: {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        own[part][rest] = value
    tail.load_state_dict(own[TAIL])
    map = Behind(tail, made.restore(own[MAP]))
    return Alignment(map.eval().requires_grad_(False), aligner, depth=depth)
