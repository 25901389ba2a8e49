"""Regularised softmax regression by L-BFGS, along a path of regularisers.

The objective of a linear probe on fixed features is convex, so a quasi-Newton method finds in a few dozen full
passes what stochastic steps approach in thousands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.nn.functional import cross_entropy

from xm.device import threads

SMALL = 2**25
"""Multiplications in one pass below which one thread is used."""


def regularisation_path(
    x: Tensor,
    y: Tensor,
    weights: Tensor,
    centre: Tensor,
    penalties: Sequence[float],
    *,
    start: Tensor | None = None,
    max_iter: int = 100,
) -> Iterator[Tensor]:
    """Minimisers V of ``sum_i weights_i CE(x_i V^T, y_i) + penalty/2 |V - centre|^2``, one a penalty.

    Each starts where the one before ended, so give penalties from strong to weak. With fewer samples than
    dimensions the problem is solved in the span of the samples, where V - centre lies (representer theorem).

    Args:
        x: (n, dim).
        y: (n,) class indices.
        weights: (n,), summing to 1.
        centre: (classes, dim), what the penalty pulls to.
        penalties: positive, from strong to weak.
        start: (classes, dim), of the first; `centre` if None.
        max_iter: L-BFGS iterations per penalty.
    """
    given = x.dtype
    x, weights, centre = (value.to(_precise(x.device)) for value in (x, weights, centre))
    offset = x @ centre.T
    basis: Tensor | None = None
    if len(x) < x.shape[1]:
        q, r = torch.linalg.qr(x.T)
        basis, x = q.T, r.T
    delta = torch.zeros(len(centre), x.shape[1], dtype=x.dtype, device=x.device)
    if start is not None:
        away = start.to(centre) - centre
        delta += away if basis is None else away @ basis.T
    few = len(x) * x.shape[1] * len(centre) < SMALL
    one_hot = torch.zeros_like(offset).scatter_(1, y[:, None], 1.0)
    for penalty in penalties:
        with threads(1 if few else torch.get_num_threads()):
            delta = _minimise(delta, x, y, one_hot, weights, offset, penalty, max_iter)
        yield (centre + (delta if basis is None else delta @ basis)).to(given)


def _minimise(
    start: Tensor,
    x: Tensor,
    y: Tensor,
    one_hot: Tensor,
    weights: Tensor,
    offset: Tensor,
    penalty: float,
    max_iter: int,
) -> Tensor:
    """The minimiser, by SciPy's L-BFGS-B; loss and gradient are computed by torch, where x is."""

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        delta = torch.from_numpy(flat).to(x).view_as(start)
        logits = torch.addmm(offset, x, delta.T)
        loss = cross_entropy(logits, y, reduction="none") @ weights + 0.5 * penalty * delta.square().sum()
        residual = (logits.softmax(dim=1) - one_hot) * weights[:, None]
        gradient = torch.addmm(delta, residual.T, x, beta=penalty)
        return loss.item(), gradient.double().flatten().cpu().numpy()

    with _blas().limit(limits=1, user_api="blas"):
        found = minimize(
            objective,
            start.double().flatten().cpu().numpy(),
            method="L-BFGS-B",
            jac=True,
            options={"maxiter": max_iter, "maxcor": 10, "gtol": 1e-7, "ftol": 1e-12},
        )
    return torch.from_numpy(found.x).to(start).view_as(start)


def _precise(device: torch.device) -> torch.dtype:
    """Double precision, so that rounding (and so the number of threads) does not show; Apple's MPS has single only."""
    return torch.float32 if device.type == "mps" else torch.float64


@cache
def _blas() -> ThreadpoolController:
    """SciPy's vector operations are so small that sharing them out costs up to 100 times what it gives."""
    return ThreadpoolController()
