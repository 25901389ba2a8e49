"""How two modalities lie in one space: how far apart, how close their pairs, how spread each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from xm.foundation.errors import DataError

CELLS = 1 << 22
"""Potentials computed at a time."""


@dataclass(frozen=True)
class Geometry:
    """Of unit vectors of two modalities.

    Attributes:
        gap: `modality_gap`: 0 to 2.
        alignment: of the pairs: 0 is best, 4 worst.
        uniformity_source: of the source alone: 0 if all vectors are alike, lower if they spread, at best -4.
        uniformity_target: of the target alone.
    """

    gap: float
    alignment: float
    uniformity_source: float
    uniformity_target: float


def modality_gap(source: Tensor, target: Tensor) -> float:
    """Distance between the means of unit vectors (n, d) and (m, d) (Liang et al., NeurIPS 2022)."""
    return _finite((source.double().mean(0) - target.double().mean(0)).norm())


def alignment(source: Tensor, target: Tensor, alpha: float = 2.0) -> float:
    """Mean over pairs of their distance to the power of `alpha` (Wang & Isola, ICML 2020). Both are (n, d)."""
    return _finite((source.double() - target.double()).norm(dim=1).pow(alpha).mean())


def uniformity(x: Tensor, t: float = 2.0) -> float:
    """Log of the mean Gaussian potential exp(-t · squared distance) over all pairs of rows (Wang & Isola, ICML 2020).

    Args:
        x: (n, d), unit vectors. The time goes with n², memory does not: rows are taken in blocks.
        t: of the potential.

    Raises:
        DataError: for fewer than two rows, which have no pairs.
    """
    n = len(x)
    if n < 2:
        raise DataError(f"geometry: uniformity needs two vectors at least, not {n}")
    x = x.detach().float()
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    start = 0
    while start < n - 1:
        stop = min(n, start + max(1, CELLS // (n - start)))
        squared = (2 - 2 * x[start:stop] @ x[start:].T).clamp_min(0)
        total += squared.mul_(-t).exp_().triu_(1).sum(dtype=torch.float64)  # each pair once, no row with itself
        start = stop
    return _finite((total / (n * (n - 1) / 2)).log())


def _finite(value: Tensor) -> float:
    """As a number.

    Raises:
        DataError: if it is none.
    """
    found = float(value)
    if not math.isfinite(found):
        raise DataError("geometry: a vector is not finite, or there are none")
    return found
