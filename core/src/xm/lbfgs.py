"""Regularised softmax regression by L-BFGS, along a path of regularisers.

The objective of a linear probe on fixed features is convex, so a quasi-Newton method finds in a few dozen full
passes what stochastic steps approach in thousands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

SMALL = 2**22
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
    with _threads(len(x) * x.shape[1] * len(centre)):
        yield from _path(x, y, weights, centre, penalties, start, max_iter)


@contextmanager
def _threads(work: int) -> Iterator[None]:
    """One thread for small problems: handing them out costs more than it gives, much more on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if work < SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _path(
    x: Tensor,
    y: Tensor,
    weights: Tensor,
    centre: Tensor,
    penalties: Sequence[float],
    start: Tensor | None,
    max_iter: int,
) -> Iterator[Tensor]:
    offset = x @ centre.T
    basis: Tensor | None = None
    if len(x) < x.shape[1]:
        q, r = torch.linalg.qr(x.T)
        basis, x = q.T, r.T
    delta = torch.zeros(len(centre), x.shape[1], dtype=x.dtype, device=x.device)
    if start is not None:
        delta += start - centre if basis is None else (start - centre) @ basis.T
    one_hot = torch.zeros_like(offset).scatter_(1, y[:, None], 1.0)
    for penalty in penalties:
        _minimise(delta, x, y, one_hot, weights, offset, penalty, max_iter)
        yield centre + (delta if basis is None else delta @ basis)


def _minimise(
    delta: Tensor,
    x: Tensor,
    y: Tensor,
    one_hot: Tensor,
    weights: Tensor,
    offset: Tensor,
    penalty: float,
    max_iter: int,
) -> None:
    """Minimise over `delta`, in place, from where it is. The gradient is written out: autograd takes twice as long."""
    optimiser = torch.optim.LBFGS(
        [delta], max_iter=max_iter, history_size=10, line_search_fn="strong_wolfe", tolerance_grad=1e-6
    )

    def closure() -> Tensor:
        logits = torch.addmm(offset, x, delta.T)
        loss = cross_entropy(logits, y, reduction="none") @ weights
        residual = (logits.softmax(dim=1) - one_hot) * weights[:, None]
        delta.grad = torch.addmm(delta, residual.T, x, beta=penalty)
        return loss + 0.5 * penalty * delta.square().sum()

    optimiser.step(closure)  # type: ignore[no-untyped-call]
