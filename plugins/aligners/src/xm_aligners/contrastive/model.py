"""What is trained: the maps of both sides, and the objective."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import Batch, PairBatch, PairObjective, Stream
from xm.alignment import Pairs
from xm.encoders import Tail
from xm.learning import FEW, Inputs

PAIRS = "pairs"
"""The name of the one stream."""

SOURCE, TARGET = "source.", "target."
"""Prefixes of the sides' trunk outputs in it."""


class PairModel(nn.Module):
    """Two maps and an objective.

    Args:
        source: from the source's trunk outputs to vectors (n, dim).
        target: from the target's.
        objective: may have parameters of its own.
    """

    def __init__(self, source: nn.Module, target: nn.Module, objective: PairObjective) -> None:
        super().__init__()
        self.source = source
        self.target = target
        self.objective = objective
        self.tail = Tail()

    def forward(self, stream: Stream) -> PairBatch:
        """The pairs, mapped and scaled to unit length."""
        x, y = side(stream.x, SOURCE), side(stream.x, TARGET)
        mapped = [normalize(map(given), dim=1) for map, given in ((self.source, x), (self.target, y))]
        return PairBatch(mapped[0], mapped[1], frozen=self.tail(y), group=stream.y)


def loss(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    """The objective of a batch of pairs."""
    return {PAIRS: model.get_submodule("objective")(model(batch[PAIRS]))}


def embedded(x: Inputs, tail: nn.Module | None) -> Tensor:
    """Unit vectors (n, dim) of trunk outputs, through the encoder's own tail if it is opened, a few at a time."""
    if tail is None:
        vectors: Tensor = Tail()(x)
        return vectors
    device = next((p.device for p in tail.parameters()), torch.device("cpu"))
    size = len(next(iter(x.values())))
    with torch.no_grad():
        parts = [
            tail.eval()({name: value[start : start + FEW].to(device) for name, value in x.items()}).cpu()
            for start in range(0, size, FEW)
        ]
    return torch.cat(parts)


def stream_of(pairs: Pairs) -> Stream:
    """Both sides' trunk outputs, and the groups as labels."""
    sides = ((SOURCE, pairs.source), (TARGET, pairs.target))
    return Stream(PAIRS, {prefix + name: value for prefix, x in sides for name, value in x.items()}, pairs.group)


def side(x: Inputs, prefix: str) -> Inputs:
    """The trunk outputs of one side."""
    return {name.removeprefix(prefix): value for name, value in x.items() if name.startswith(prefix)}
