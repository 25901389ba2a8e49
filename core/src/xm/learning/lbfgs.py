"""Regularised softmax regression by L-BFGS, along a path of regularisers.

The objective of a linear probe on fixed features is convex, so a quasi-Newton method finds in a few dozen full
passes what stochastic steps approach in thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from xm.foundation.device import pool, threads
from xm.learning.quasi_newton import Curvature, descend

SMALL = 2**22
"""Multiplications in one pass below which the samples are not shared out."""

PARTS = 4
"""Of the samples, summed each by itself: fixed, so that the number of threads does not show in the result."""

BLOCK = 2**20
"""Logits that a part holds at a time."""

FLOOR = -70.0
"""Least log-probability that counts: below it, numbers of single precision lose their speed (they are subnormal)."""

Block: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Some samples: x (n, dim), y (n,) and weights (n,)."""


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
    """`path` of one block of samples, to the minimum, in double precision."""
    return path([(x, y, weights)], centre, penalties, start=start, max_iter=max_iter)


def path(
    samples: Sequence[Block],
    centre: Tensor,
    penalties: Sequence[float],
    *,
    start: Tensor | None = None,
    max_iter: int = 100,
    tolerance: float = 0.0,
) -> Iterator[Tensor]:
    """Minimisers V of ``sum_i weights_i CE(x_i V^T, y_i) + penalty/2 |V - centre|^2``, one a penalty.

    Each starts where the one before ended, so give penalties from strong to weak. With fewer samples than
    dimensions the problem is solved in the span of the samples, where V - centre lies (representer theorem).

    Args:
        samples: with weights that sum to 1 over all blocks; not copied, if they outnumber the dimensions.
        centre: (classes, dim), what the penalty pulls to.
        penalties: positive, from strong to weak.
        start: (classes, dim), of the first; `centre` if None.
        max_iter: L-BFGS iterations per penalty.
        tolerance: a minimum is found when the largest gradient is this part of what it was at the start of its
            penalty; 0 goes on to 1e-7, and computes in double precision.
    """
    given, precise = samples[0][0].dtype, _dtype(samples[0][0], tolerance)
    centre = centre.to(precise)
    basis: Tensor | None = None
    pull = centre
    if sum(len(x) for x, _, _ in samples) < centre.shape[1]:
        x, y, weights = (torch.cat(values) for values in zip(*samples, strict=True))
        q, r = torch.linalg.qr(x.to(precise).T)
        basis, samples = q.T, [(r.T, y, weights)]
        pull = centre @ q
    delta = torch.zeros_like(pull)
    if start is not None:
        away = start.to(centre) - centre
        delta += away if basis is None else away @ basis.T
    if sum(len(x) for x, _, _ in samples) * len(centre) <= PARTS * BLOCK:
        samples = [(x.to(precise), y, weights) for x, y, weights in samples]
    parts = _parts([(x, y, weights.to(precise)) for x, y, weights in samples], len(centre))
    curvature, before = Curvature(largest=0.5), 0.0  # of softmax regression on unit vectors, at most
    count = min(torch.get_num_threads(), len(parts))
    with pool(count) as workers:
        for penalty in penalties:
            curvature.add(penalty - before)
            before = penalty
            objective = partial(_objective, parts, pull, penalty, map if count == 1 else workers.map)
            with threads(1):
                delta = descend(objective, delta, curvature, max_iter, tolerance)
            yield (pull + delta if basis is None else centre + delta @ basis).to(given)


def _parts(samples: Sequence[Block], classes: int) -> list[list[Block]]:
    """The samples in parts, each of them in blocks."""
    numbers = sum(x.numel() for x, _, _ in samples) * classes
    count = 1 if samples[0][0].device.type != "cpu" or numbers < SMALL else PARTS
    shares = zip(*(_chunks(block, count) for block in samples), strict=False)
    return [[piece for b in part for piece in _chunks(b, -(-len(b[0]) * classes // BLOCK))] for part in shares]


def _chunks(samples: Block, count: int) -> list[Block]:
    x, y, weights = (value.tensor_split(count) for value in samples)
    return list(zip(x, y, weights, strict=True))


def _objective(
    parts: list[list[Block]],
    centre: Tensor,
    penalty: float,
    each: Callable[..., Iterator[tuple[float, Tensor]]],
    delta: Tensor,
) -> tuple[float, Tensor]:
    """Loss and gradient; `each` part by itself."""
    loss, gradient = 0.5 * penalty * float(delta.square().sum()), penalty * delta
    for part_loss, part_gradient in each(partial(_cross_entropy, centre + delta), parts):
        loss += part_loss
        gradient += part_gradient
    return loss, gradient


def _cross_entropy(v: Tensor, part: list[Block]) -> tuple[float, Tensor]:
    """The weighted cross-entropy of a part at v, and its gradient (classes, dim).

    Logits are kept as (classes, n), for which both products are fastest.
    """
    loss, gradient = 0.0, torch.zeros_like(v)
    for x, y, weights in part:
        x, own = x.to(v), y[None]
        logits = v @ x.T
        normaliser = logits.logsumexp(dim=0)
        loss += float((normaliser - logits.gather(0, own)[0]) @ weights)
        residual = logits.sub_(normaliser).clamp_(min=FLOOR).exp_()
        residual.scatter_add_(0, own, -torch.ones_like(residual[:1])).mul_(weights)
        gradient.addmm_(residual, x)
    return loss, gradient


def _dtype(x: Tensor, tolerance: float) -> torch.dtype:
    """Double precision for a minimum to the last digits; Apple's MPS has single only."""
    return torch.float64 if tolerance == 0 and x.device.type != "mps" else torch.promote_types(x.dtype, torch.float32)
