"""Pairs that are kept from training."""

from __future__ import annotations

import torch
from torch import Tensor

from xm.alignment import Pairs

MOST = 2000
"""Pairs that are kept at most; more would take long to look at, and say little more."""


def split(pairs: Pairs, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Rows to learn from and rows to keep, both ascending.

    Groups stay whole. None is kept where fewer than two groups would be on either side: one group alone has no wrong
    partners to be told from.

    Args:
        pairs: n of them; without groups, each is its own.
        share: of the pairs that is kept, about, and `MOST` at most.
        seed: of the draw.
    """
    everything = torch.arange(len(pairs))
    group = everything if pairs.group is None else pairs.group.cpu()
    groups, counts = torch.unique(group, return_counts=True)
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed))
    taken = int((counts[order].cumsum(0) <= min(MOST, round(share * len(pairs)))).sum())
    if taken < 2 or len(groups) - taken < 2:
        return everything, everything[:0]
    kept = torch.isin(group, groups[order[:taken]])
    return everything[~kept], everything[kept]
