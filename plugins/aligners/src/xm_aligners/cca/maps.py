"""Maps from canonical directions."""

from __future__ import annotations

import torch
from torch import Tensor

from xm.alignment import Affine
from xm_aligners.cca.correlation import Canonical


def regression(found: Canonical, dim: int) -> Affine:
    """The source's scores, times their correlations, as the target's, and from these the target.

    With all directions it is the least-squares map under the source's shrunk covariance; with fewer, reduced-rank
    regression.
    """
    weight = (found.source[:, :dim] * found.correlation[:dim]) @ found.back[:dim]
    x, y = found.means
    return _affine(weight, y - x @ weight)


def projections(found: Canonical, dim: int, power: float) -> tuple[Affine, Affine]:
    """Both sides' scores, each weighted by its correlation to the `power`: vectors (n, dim)."""
    weight = found.correlation[:dim].pow(power)
    x, y = found.source[:, :dim] * weight, found.target[:, :dim] * weight
    return _affine(x, -found.means[0] @ x), _affine(y, -found.means[1] @ y)


def _affine(weight: Tensor, bias: Tensor) -> Affine:
    return Affine(weight.to(torch.float32), bias.to(torch.float32))
