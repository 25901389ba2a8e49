"""Settings by how well pairs that were left out find each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm.evaluation import mean_reciprocal_rank
from xm_aligners.cca.correlation import Canonical, Whitened, analyse

FOLDS = 5

MANY = 30
"""Groups of weak pairs, at least, for some to be left out: with fewer, how well new ones are found says little."""

LOOKED_AT = 1000
"""Pairs of a part that look for each other; the others of a larger part are not used in its turn."""

Mapped = Callable[[Canonical, Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""``(directions, source rows, target rows, dim) -> vectors of both sides in one space``."""


def choose(
    x: Tensor, y: Tensor, group: Tensor | None, shares: Sequence[float], dims: Sequence[int], mapped: Mapped, seed: int
) -> tuple[float, int]:
    """The share and dim with the best mean reciprocal rank of pairs left out, in `FOLDS` parts of whole groups.

    Of equal ones the largest share and then the smallest dim is taken; where there are fewer than four pairs, or `MANY`
    groups of several pairs, nothing can be left out, and it is the largest share and the largest dim.
    """
    totals = dict.fromkeys(itertools.product(sorted(shares, reverse=True), sorted(dims)), 0.0)
    few = group is not None and len(torch.unique(group)) < min(MANY, len(group))
    parts = [] if few else list(folds(len(x), group, seed))
    if len(totals) == 1 or not parts:
        return max(shares), max(dims)
    for rest, out in parts:
        own = torch.arange(len(out)) if group is None else group[out]
        sides = Whitened.of(x[rest]), Whitened.of(y[rest])
        for share in shares:
            found = analyse(*sides, share)
            for dim in dims:
                one, other = (normalize(side, dim=1) for side in mapped(found, x[out], y[out], dim))
                totals[share, dim] += len(out) * mean_reciprocal_rank(one, other, own)
    return max(totals, key=totals.__getitem__)


def folds(n: int, group: Tensor | None, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows to learn from and rows left out, at most `LOOKED_AT`, of each part. Each part has two groups at least."""
    generator = torch.Generator().manual_seed(seed)
    own = torch.arange(n) if group is None else group
    groups = torch.unique(own)
    order = groups[torch.randperm(len(groups), generator=generator)]
    count = min(FOLDS, len(groups) // 2)
    for part in order.tensor_split(count) if count > 1 else ():
        left_out = torch.isin(own, part)
        out = left_out.nonzero()[:, 0]
        yield (~left_out).nonzero()[:, 0], out[torch.randperm(len(out), generator=generator)[:LOOKED_AT]]
