"""The search for alpha and beta on val."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from xm import Context, Stream
from xm_adapters.tip_adapter.model import CacheModel

ZERO_SHOT, CACHE = "zero_shot", "cache"


@dataclass(frozen=True)
class Grid:
    """What is searched: every pair of a beta and an alpha."""

    betas: Sequence[float]
    alphas: Sequence[float]

    def record(self) -> dict[str, object]:
        """First, last and number of values of each."""
        return {
            name: {"first": values[0], "last": values[-1], "values": len(values)}
            for name, values in (("beta", self.betas), ("alpha", self.alphas))
        }


def published_axis(end: float, steps: int) -> tuple[float, ...]:
    """`steps` values from 0.1 on, evenly spaced, with `end` itself left out (`search_hp` of the published code)."""
    return tuple(0.1 + i * (end - 0.1) / steps for i in range(steps))


def geometric_axis(first: float, factor: float, values: int) -> tuple[float, ...]:
    """`first`, ``first * factor``, ``first * factor**2``…, to six digits."""
    return tuple(float(f"{first * factor**i:.6g}") for i in range(values))


class Blend(nn.Module):
    """``zero-shot + alpha * cache`` of a stream that holds both, (n, classes) each."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, stream: Stream) -> Tensor:
        return stream.x[ZERO_SHOT] + self.alpha * stream.x[CACHE]


def search(model: CacheModel, context: Context, grid: Grid) -> tuple[float, float]:
    """The best beta and alpha on val: by accuracy, then likelihood, and of equal ones the first.

    Towers and keys are met once, and each beta's exponentials are taken once for all alphas.

    Raises:
        ValueError: if there is no val.
    """
    if context.val is None:
        raise ValueError("there is no val to search on")
    val = context.val.to(context.device)
    with torch.no_grad():
        zero_shot, similarity = model.parts(val)
    best, found = (-1.0, 0.0), (grid.betas[0], grid.alphas[0])
    for beta in grid.betas:
        with torch.no_grad():
            parts = {ZERO_SHOT: zero_shot, CACHE: model.recall(similarity, beta)}
        here = replace(context, val=Stream(val.modality, parts, val.y))
        for alpha in grid.alphas:
            value = here.evaluate(Blend(alpha))
            if value > best:
                best, found = value, (beta, alpha)
    return found
