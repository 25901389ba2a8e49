"""Regularised canonical correlation analysis, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Whitened:
    """n rows of one side, centred, in the directions that they span: at most n - 1.

    Attributes:
        mean: (p,), of the rows.
        left: (n, r), orthonormal columns: the rows, each direction scaled to length 1.
        spread: (r,), the variance along each direction, over n - 1.
        right: (p, r), orthonormal columns: the directions.
    """

    mean: Tensor
    left: Tensor
    spread: Tensor
    right: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Whitened:
        """Of rows (n, p), in double precision on the CPU."""
        x = x.detach().double().cpu()
        mean = x.mean(dim=0)
        left, values, right = torch.linalg.svd(x - mean, full_matrices=False)
        kept = values > values[:1] * max(x.shape) * torch.finfo(torch.float32).eps
        spread = values[kept].square() / max(1, len(x) - 1)
        return cls(mean, left[:, kept], spread, right[kept].T)

    def penalised(self, share: float) -> Tensor:
        """(r,): the variances, drawn by `share` towards their mean."""
        return (1 - share) * self.spread + share * self.spread.mean()


@dataclass(frozen=True)
class Canonical:
    """Pairs of directions, the most correlated first.

    Attributes:
        correlation: (k,), 0 to 1, under the regularised covariances.
        source: (p, k), so that ``source.T @ Cx @ source`` is the identity.
        target: (q, k), likewise.
        back: (k, q), ``target.T @ Cy``: rows that a target's k scores are to be multiplied with to give the target
            again, up to what all directions leave out.
        means: (p,) and (q,), of both sides.
    """

    correlation: Tensor
    source: Tensor
    target: Tensor
    back: Tensor
    means: tuple[Tensor, Tensor]


def analyse(x: Whitened, y: Whitened, share: float) -> Canonical:
    """Directions u of the source and v of the target that maximise ``u' Sxy v`` with ``u' Cx u = v' Cy v = 1``.

    C is the covariance S, shrunk in the directions that the rows span: ``(1 - share) S + share mean(variance)``. With
    share 0 it is plain canonical correlation analysis (Hotelling, 1936), with 1 partial least squares; between them
    lies Vinod's canonical ridge (1976). No matrix is larger than the rows are many, or their dimensions.
    """
    wx, wy = x.penalised(share).rsqrt(), y.penalised(share).rsqrt()
    scaled = ((x.spread.sqrt() * wx)[:, None] * (x.left.T @ y.left)) * (y.spread.sqrt() * wy)
    left, correlation, right = torch.linalg.svd(scaled, full_matrices=False)
    target = y.right @ (wy[:, None] * right.T)
    back = (right / wy) @ y.right.T
    return Canonical(correlation, x.right @ (wx[:, None] * left), target, back, (x.mean, y.mean))
