"""L-BFGS (Nocedal & Wright, Numerical Optimization, 2006, algorithm 7.5) for smooth convex functions of a tensor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

Function: TypeAlias = Callable[[Tensor], tuple[float, Tensor]]
"""Of a point: value and gradient."""

MEMORY = 8
"""Steps that are remembered: two tensors each."""

DECREASE = 1e-4
"""Least part of the decrease that the gradient foretells (Armijo's condition)."""

HALVINGS = 20
"""After so many the step is below what rounding lets see."""


@dataclass
class Curvature:
    """What past steps tell of the second derivative. It may be handed on from one function to the next.

    Attributes:
        largest: a guess of it, for the very first step.
        steps: each step with the change of the gradient along it, the last one last.
    """

    largest: float
    steps: deque[tuple[Tensor, Tensor]] = field(default_factory=lambda: deque(maxlen=MEMORY))

    def note(self, step: Tensor, change: Tensor) -> None:
        """Remember a step, unless the function is flat along it."""
        if _dot(step, change) > 0:
            self.steps.append((step, change))

    def add(self, penalty: float) -> None:
        """The function gains ``penalty/2 |x - centre|^2``: its gradient changes by ``penalty * step`` more."""
        self.largest += penalty
        changed = [(step, change.add_(step, alpha=penalty)) for step, change in self.steps]
        self.steps.clear()
        for pair in changed:
            self.note(*pair)

    def newton(self, gradient: Tensor) -> Tensor:
        """Minus the inverse second derivative times `gradient`: the step to take."""
        direction, parts = -gradient, list[tuple[float, float]]()
        for step, change in reversed(self.steps):
            along = _dot(step, change)
            part = _dot(step, direction) / along
            direction.sub_(change, alpha=part)
            parts.append((along, part))
        last = self.steps[-1] if self.steps else None
        direction.mul_(1 / self.largest if last is None else _dot(*last) / _dot(last[1], last[1]))
        for (step, change), (along, part) in zip(self.steps, reversed(parts), strict=True):
            direction.add_(step, alpha=part - _dot(change, direction) / along)
        return direction


def descend(function: Function, x: Tensor, curvature: Curvature, max_iter: int, tolerance: float) -> Tensor:
    """The minimum, from `x`, which is left as it is.

    Args:
        function: smooth and convex.
        x: the start.
        curvature: of earlier functions nearby; learns of this one.
        max_iter: steps at most.
        tolerance: of the largest gradient, as a part of that at the start; it ends at 1e-7 at least if this is 0.
    """
    value, gradient = function(x)
    enough = tolerance * float(gradient.abs().max()) if tolerance else 1e-7
    for _ in range(max_iter):
        if float(gradient.abs().max()) <= enough:
            break
        direction = curvature.newton(gradient)
        slope = _dot(direction, gradient)
        length = 1.0
        for _ in range(HALVINGS):
            moved = torch.add(x, direction, alpha=length)
            found, found_gradient = function(moved)
            if found <= value + DECREASE * length * slope:
                break
            length /= 2
        else:
            break
        curvature.note(direction.mul_(length), found_gradient - gradient)
        gained, x, value, gradient = value - found, moved, found, found_gradient
        if gained <= 1e-12 * max(abs(value), 1.0) and not tolerance:
            break
    return x


def _dot(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one.flatten(), other.flatten()))
