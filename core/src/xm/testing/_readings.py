"""Synthetic readings of synthetic samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm.learning.model import EMBEDDING
from xm.learning.stream import Inputs, Reading, Stream

OTHER_DIM = 14
"""Of another encoder's unit vectors."""


def also(stream: Stream, readings: Mapping[str, Reading]) -> Stream:
    """A stream with synthetic readings: what was read, with a little noise, of another draw for each name.

    By another encoder they are unit vectors of `OTHER_DIM` numbers, turned; without a depth they are as the stream is.

    Args:
        stream: trunk outputs or embeddings of the target.
        readings: by name.
    """
    found: dict[str, Inputs] = {}
    for name, reading in readings.items():
        [(key, x)] = stream.x.items()
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(sum(name.encode())))
        x = x + 0.05 * x.std(correction=0) * noise
        if reading.encoder is not None:
            x = x @ _turn(x.shape[1])
        trunk = reading.encoder is None and (reading.depth or (reading.depth is None and key != EMBEDDING))
        found[name] = {"features": x} if trunk else {EMBEDDING: normalize(x, dim=1)}
    return replace(stream, also=found)


def _turn(dim: int) -> Tensor:
    """Orthonormal columns (dim, OTHER_DIM)."""
    turn: Tensor = torch.linalg.qr(torch.randn(dim, OTHER_DIM, generator=torch.Generator().manual_seed(9))).Q
    return turn
