"""Regularised softmax regression along a path."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from xm.learning.lbfgs import regularisation_path


@pytest.fixture(params=(4, 30), ids=("n > dim", "n < dim"))
def problem(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor, Tensor]:
    """x (18, dim), y of three classes, and weights, in double precision."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(18, request.param, generator=generator, dtype=torch.float64)
    weights = torch.rand(18, generator=generator, dtype=torch.float64)
    return x, torch.arange(3).repeat(6), weights / weights.sum()


def test_the_gradient_vanishes_at_every_minimum(problem: tuple[Tensor, Tensor, Tensor]) -> None:
    x, y, weights = problem
    centre = torch.randn(3, x.shape[1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    penalties = (1.0, 0.1, 0.01)
    for penalty, found in zip(
        penalties, regularisation_path(x, y, weights, centre, penalties, max_iter=500), strict=True
    ):
        v = found.clone().requires_grad_()
        loss = cross_entropy(x @ v.T, y, reduction="none") @ weights + penalty / 2 * (v - centre).square().sum()
        (gradient,) = torch.autograd.grad(loss, v)
        assert gradient.abs().max() < 1e-3


def test_the_start_does_not_matter(problem: tuple[Tensor, Tensor, Tensor]) -> None:
    x, y, weights = problem
    centre = torch.zeros(3, x.shape[1], dtype=torch.float64)
    start = torch.randn(3, x.shape[1], generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (one,) = regularisation_path(x, y, weights, centre, (0.1,), max_iter=500)
    (other,) = regularisation_path(x, y, weights, centre, (0.1,), start=start, max_iter=500)
    torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-2)


def test_candidates_are_objects_of_their_own(problem: tuple[Tensor, Tensor, Tensor]) -> None:
    """A later step changes no earlier result, nor what was given."""
    x, y, weights = problem
    centre = torch.zeros(3, x.shape[1], dtype=torch.float64)
    start, given = torch.ones_like(centre), [t.clone() for t in (x, y, weights)]
    path = regularisation_path(x, y, weights, centre, (1.0, 1e-3), start=start)
    first = next(path)
    kept = first.clone()
    second = next(path)
    assert torch.equal(first, kept) and not torch.allclose(first, second)
    assert second.norm() > first.norm()
    assert all(torch.equal(a, b) for a, b in zip(given, problem, strict=True))
    assert bool((start == 1).all()) and bool((centre == 0).all())


def test_a_great_penalty_gives_the_centre(problem: tuple[Tensor, Tensor, Tensor]) -> None:
    x, y, weights = problem
    centre = torch.full((3, x.shape[1]), 0.5, dtype=torch.float64)
    (found,) = regularisation_path(x, y, weights, centre, (1e6,))
    torch.testing.assert_close(found, centre, atol=1e-5, rtol=0)


def test_a_sample_without_weight_is_not_there(problem: tuple[Tensor, Tensor, Tensor]) -> None:
    x, y, weights = problem
    weights = weights.clone()
    weights[-3:] = 0
    weights /= weights.sum()
    centre = torch.zeros(3, x.shape[1], dtype=torch.float64)
    (with_them,) = regularisation_path(x, y, weights, centre, (0.1,), max_iter=500)
    (without,) = regularisation_path(x[:-3], y[:-3], weights[:-3], centre, (0.1,), max_iter=500)
    torch.testing.assert_close(with_them, without, atol=1e-3, rtol=1e-2)


def test_threads_are_as_before_between_and_after_steps(problem: tuple[Tensor, Tensor, Tensor]) -> None:
    x, y, weights = problem
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in regularisation_path(x, y, weights, torch.zeros(3, x.shape[1], dtype=torch.float64), (1.0, 0.1)):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
