"""Which precision is fastest on this machine, and near enough to float32: measured, not guessed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn.functional import cosine_similarity

from xm.device import autocast
from xm.encoder import Encoder
from xm.errors import ItemError

EXACT = "float32"
CANDIDATES = (EXACT, "bfloat16")
"""Precisions that are tried, by autocast."""

NEAR = 0.999
"""Least cosine between an item's embedding and its float32 one."""

GAIN = 1.1
"""How much faster it must be to be taken."""

ROUNDS = 2
"""Runs of each, in turns, of which the faster counts."""


@dataclass(frozen=True)
class Choice:
    """What was measured.

    Attributes:
        precision: the one to take.
        seconds: a batch, by precision.
        cosine: the least, by precision.
    """

    precision: str
    seconds: dict[str, float]
    cosine: dict[str, float]

    def __str__(self) -> str:
        told = (f"{name} {self.seconds[name]:.3f} s, cosine {self.cosine[name]:.5f}" for name in self.seconds)
        return f"{self.precision} ({'; '.join(told)})"


def measured(encoder: Encoder, items: Sequence[Any]) -> Choice:
    """The fastest precision for an encoder here, on its first batch of items.

    Items that can't be read are passed over; with none left, it is float32.
    """
    batch = _readable(encoder, items[: encoder.batch_size])
    if not batch:
        return Choice(EXACT, {}, {})
    exact = _embedded(encoder, batch, EXACT)
    seconds: dict[str, float] = {}
    cosine: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name in CANDIDATES:
            started = time.perf_counter()
            found = _embedded(encoder, batch, name)
            taken = time.perf_counter() - started
            seconds[name] = min(taken, seconds.get(name, taken))
            cosine[name] = float(cosine_similarity(exact, found).min())
    fit = [name for name in CANDIDATES if cosine[name] >= NEAR and seconds[name] * GAIN <= seconds[EXACT]]
    return Choice(min(fit, key=seconds.__getitem__, default=EXACT), seconds, cosine)


def _readable(encoder: Encoder, items: Sequence[Any]) -> list[Any]:
    found = []
    for item in items:
        try:
            encoder.encode([item])
        except ItemError:
            continue
        found.append(item)
    return found


def _embedded(encoder: Encoder, items: Sequence[Any], precision: str) -> Tensor:
    with autocast(encoder.device, precision):
        return encoder.encode(items).float()
