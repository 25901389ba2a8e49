"""Regularised softmax regression by L-BFGS, along a path of regularisers.

The objective of a linear probe on fixed features is convex, so a quasi-Newton method finds in a few dozen full
passes what stochastic steps approach in thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController
from torch import Tensor

from xm.device import threads

SMALL = 2**22
"""Multiplications in one pass below which the samples are not shared out."""

PARTS = 4
"""Of the samples, summed each by itself: fixed, so that the number of threads does not show in the result."""

BLOCK = 2**20
"""Logits that a part holds at a time."""

Block: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Some samples: x, y and weights."""


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
    given, precise = x.dtype, _precise(x.device)
    weights, centre = weights.to(precise), centre.to(precise)
    basis: Tensor | None = None
    pull = centre
    if len(x) < x.shape[1]:
        q, r = torch.linalg.qr(x.to(precise).T)
        basis, x = q.T, r.T
        pull = centre @ q
    delta = torch.zeros_like(pull)
    if start is not None:
        away = start.to(centre) - centre
        delta += away if basis is None else away @ basis.T
    if len(x) * len(centre) <= PARTS * BLOCK:
        x = x.to(precise)
    parts = _parts((x, y, weights), len(centre))
    for penalty in penalties:
        workers = torch.get_num_threads()
        with threads(1), ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            delta = _minimise(delta, parts, pull, penalty, max_iter, map if len(parts) == 1 else pool.map)
        yield (centre + (delta if basis is None else delta @ basis)).to(given)


def _parts(samples: Block, classes: int) -> list[list[Block]]:
    """The samples in parts, each of them in blocks."""
    x = samples[0]
    alone = x.device.type != "cpu" or x.numel() * classes < SMALL
    return [_chunks(part, -(-len(part[0]) * classes // BLOCK)) for part in _chunks(samples, 1 if alone else PARTS)]


def _chunks(samples: Block, count: int) -> list[Block]:
    x, y, weights = (value.chunk(count) for value in samples)
    return list(zip(x, y, weights, strict=True))


def _minimise(
    start: Tensor,
    parts: list[list[Block]],
    centre: Tensor,
    penalty: float,
    max_iter: int,
    each: Callable[..., Iterator[tuple[Tensor, Tensor]]],
) -> Tensor:
    """The minimiser, by SciPy's L-BFGS-B; loss and gradient are computed by torch, `each` part by itself."""

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        delta = torch.from_numpy(flat).to(start).view_as(start)
        loss, gradient = 0.5 * penalty * delta.square().sum(), penalty * delta
        for part_loss, part_gradient in each(partial(_cross_entropy, centre + delta), parts):
            loss += part_loss
            gradient += part_gradient
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


def _cross_entropy(v: Tensor, part: list[Block]) -> tuple[Tensor, Tensor]:
    """The weighted cross-entropy of a part at v, and its gradient (classes, dim).

    Logits are kept as (classes, n), for which both products are fastest.
    """
    loss, gradient = v.new_zeros(()), torch.zeros_like(v)
    for x, y, weights in part:
        x, own = x.to(v), y[None]
        logits = v @ x.T
        normaliser = logits.logsumexp(dim=0)
        loss += (normaliser - logits.gather(0, own)[0]) @ weights
        residual = logits.sub_(normaliser).exp_()
        residual.scatter_add_(0, own, -torch.ones_like(residual[:1])).mul_(weights)
        gradient.addmm_(residual, x)
    return loss, gradient


def _precise(device: torch.device) -> torch.dtype:
    """Double precision, so that rounding (and so the number of threads) does not show; Apple's MPS has single only."""
    return torch.float32 if device.type == "mps" else torch.float64


@cache
def _blas() -> ThreadpoolController:
    """SciPy's vector operations are so small that sharing them out costs up to 100 times what it gives."""
    return ThreadpoolController()
