"""Objectives that core brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor
from torch.nn import functional as F

Objective: TypeAlias = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""``(logits (n, k), labels (n,), weights (n,) or None) -> scalar``: the weighted mean over the samples."""


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Softmax cross-entropy (Lin et al., CVPR 2023, equation 3), the weighted mean over samples."""
    if weights is None:
        return F.cross_entropy(logits, labels)
    return (F.cross_entropy(logits, labels, reduction="none") * weights).sum() / weights.sum()
