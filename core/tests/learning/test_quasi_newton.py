"""L-BFGS on functions whose minimum is known."""

from __future__ import annotations

import torch
from torch import Tensor

from xm.learning.quasi_newton import MEMORY, Curvature, descend


def quadratic(diagonal: Tensor, centre: Tensor) -> tuple[object, list[Tensor]]:
    asked = list[Tensor]()

    def function(x: Tensor) -> tuple[float, Tensor]:
        asked.append(x)
        gradient = diagonal * (x - centre)
        return 0.5 * float((x - centre) @ gradient), gradient

    return function, asked


def problem(n: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.logspace(-3, 1, n, dtype=torch.float64), torch.randn(n, generator=generator, dtype=torch.float64)


def test_it_finds_the_minimum_and_leaves_the_start() -> None:
    diagonal, centre = problem()
    function, _ = quadratic(diagonal, centre)
    start = torch.zeros_like(centre)
    found = descend(function, start, Curvature(largest=10.0), 1000, 0.0)  # type: ignore[arg-type]
    torch.testing.assert_close(diagonal * found, diagonal * centre, atol=1e-5, rtol=0)
    assert bool((start == 0).all())


def test_the_tolerance_is_of_the_first_gradient() -> None:
    diagonal, centre = problem()
    for tolerance in (0.5, 0.05, 0.005):
        function, asked = quadratic(diagonal, centre)
        found = descend(function, torch.zeros_like(centre), Curvature(largest=10.0), 1000, tolerance)  # type: ignore[arg-type]
        first, last = ((diagonal * (x - centre)).abs().max() for x in (asked[0], found))
        assert last <= tolerance * first


def test_one_step_of_no_memory_is_the_gradient_over_the_largest_curvature() -> None:
    gradient = torch.tensor([1.0, -2.0])
    torch.testing.assert_close(Curvature(largest=4.0).newton(gradient), -gradient / 4)


def test_remembered_steps_satisfy_the_secant_equation() -> None:
    """The last step's change of gradient, put in, gives minus that step."""
    curvature = Curvature(largest=1.0)
    generator = torch.Generator().manual_seed(1)
    for _ in range(MEMORY + 3):
        step = torch.randn(20, generator=generator, dtype=torch.float64)
        curvature.note(step, 3 * step + 0.1 * step.sin())
    assert len(curvature.steps) == MEMORY
    step, change = curvature.steps[-1]
    torch.testing.assert_close(curvature.newton(change), -step)


def test_a_penalty_that_is_added_and_taken_off_is_in_the_changes() -> None:
    curvature, step = Curvature(largest=1.0), torch.tensor([1.0, 2.0])
    curvature.note(step.clone(), 3 * step)
    curvature.add(0.5)
    torch.testing.assert_close(curvature.steps[-1][1], 3.5 * step)
    curvature.add(-4.0)
    assert not curvature.steps, "no function that is convex has a negative curvature"


def test_flat_directions_are_not_remembered() -> None:
    curvature = Curvature(largest=1.0)
    curvature.note(torch.ones(2), torch.zeros(2))
    assert not curvature.steps
