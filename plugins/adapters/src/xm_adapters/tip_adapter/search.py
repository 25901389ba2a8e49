"""The search for alpha and beta on val, and on samples of train without their own keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from xm import Context, Stream
from xm.learning import clearly_best
from xm_adapters.tip_adapter.model import OWN_KEY, CacheModel

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


def search(model: CacheModel, context: Context, grid: Grid, *, train: bool = False) -> tuple[float, float]:
    """The best beta and alpha: by accuracy, then likelihood, and of equal ones the first.

    Where alpha may be 0, it is, unless the best is right more often by more than a standard error. Towers and keys are
    met once, and each beta's exponentials are taken once for all alphas.

    Args:
        model: whose beta and alpha are searched.
        context: with val.
        grid: what is searched.
        train: on the target's training samples too, each without its own key, where a class has two of them or more.

    Raises:
        ValueError: if there is no val.
    """
    if context.val is None:
        raise ValueError("there is no val to search on")
    streams = [context.val]
    if train and len(context.train[context.target]) >= 2 * len(context.classes):
        streams.append(without_own_keys(context.train)[context.target])
    streams = [stream.to(context.device) for stream in streams]
    with torch.no_grad():
        met = [(*model.parts(stream), stream.x.get(OWN_KEY)) for stream in streams]
    zero_shot, y = torch.cat([part for part, _, _ in met]), torch.cat([stream.labels for stream in streams])

    def at(beta: float) -> Context:
        """The task of telling alphas apart."""
        with torch.no_grad():
            cache = torch.cat([model.recall(similarity, beta, own) for _, similarity, own in met])
        return replace(context, val=Stream(context.target, {ZERO_SHOT: zero_shot, CACHE: cache}, y))

    best, found = (-1.0, 0.0), (grid.betas[0], grid.alphas[0])
    for beta in grid.betas:
        here = at(beta)
        for alpha in grid.alphas:
            value = here.evaluate(Blend(alpha))
            if value > best:
                best, found = value, (beta, alpha)
    if 0 in grid.alphas:
        found = found[0], clearly_best([Blend(0.0), Blend(found[1])], at(found[0])).alpha
    return found


def without_own_keys(train: Mapping[str, Stream]) -> dict[str, Stream]:
    """The streams, each sample with the row of the cache that it made, which the model then leaves out for it."""
    found, first = {}, 0
    for name, stream in train.items():
        device = next(iter(stream.x.values())).device
        rows = torch.arange(first, first + len(stream), device=device)
        found[name] = replace(stream, x={**stream.x, OWN_KEY: rows})
        first += len(stream)
    return found
