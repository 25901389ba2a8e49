"""What several objectives share: which pairs belong together."""

from __future__ import annotations

import torch
from torch import Tensor

from xm import PairBatch


def own_pairs(batch: PairBatch) -> Tensor:
    """(n, n), true where source i and target j are one pair: the diagonal."""
    return torch.eye(len(batch), dtype=torch.bool, device=batch.source.device)


def belonging(batch: PairBatch) -> Tensor:
    """(n, n), true where source i and target j belong together: of one pair, or of equal group."""
    if batch.group is None:
        return own_pairs(batch)
    return batch.group[:, None] == batch.group[None, :]


def excluding(logits: Tensor, excluded: Tensor) -> Tensor:
    """The logits, low enough at `excluded` that a softmax gives those nothing; finite, for soft targets of zero."""
    return logits.masked_fill(excluded, -1e4)


def mean_over(values: Tensor, rows: Tensor) -> Tensor:
    """The mean of `values` where `rows` is true; 0, with a graph, where it is true nowhere."""
    return (values * rows).sum() / rows.sum().clamp(min=1)
