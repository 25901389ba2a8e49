"""Block coordinate descent on the cross-entropy of ``x (w_k + alpha_k t_k)``, its step sizes from bounds of curvature.

The gradient of each block is Lipschitz, so a parabola that is known beforehand lies above the objective, and a step to
its minimum needs no learning rate. The curvature of softmax cross-entropy in one class's logit is p (1 - p), at most
1/4. So along w_k it is at most a quarter of the largest eigenvalue of the samples' weighted second moments; along
alpha_k at most a quarter of the weighted mean square of the text logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Problem:
    """Samples of all modalities, and the class names.

    Attributes:
        x: (n, dim).
        y: (n,) class indices.
        weights: (n,), summing to 1: of each sample in the objective.
        names: (classes, dim), unit rows.
        size: what all samples weigh before they are shared out; n if each counts once.
    """

    x: Tensor
    y: Tensor
    weights: Tensor
    names: Tensor
    size: float

    def class_sums(self) -> Tensor:
        """Each class's sum of samples by their weights times `size`: (classes, dim); of one modality the plain sum."""
        return torch.zeros_like(self.names).index_add_(0, self.y, self.size * self.weights[:, None] * self.x)

    def step_w(self) -> float:
        """4 over the largest eigenvalue of the weighted second moments; taken from the smaller of two Gram matrices."""
        rows = (self.x * self.weights.sqrt()[:, None]).cpu().double()
        gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
        return 4 / float(torch.linalg.eigvalsh(gram)[-1])

    def step_alpha(self) -> float:
        """1/4 over the largest weighted mean square of a class's text logits, as in the published code.

        That is 1/16 of what the curvature along one alpha_k allows.
        """
        return 0.25 / float((self.weights @ (self.x @ self.names.T).square()).max())


def descend(
    problem: Problem, alpha: float, *, iterations: int, alpha_every: int, momentum: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """w (classes, dim) and alpha (classes,) after each iteration; new tensors each time.

    w starts at the class sums and moves in every iteration, alpha starts alike for all classes and moves in every
    `alpha_every`-th, by the gradient at the same point. With momentum 0 and all classes moving at once, the step
    of w never raises the objective: the curvature in all logits together is at most 1/2, twice that in one.

    Args:
        problem: what is minimised.
        alpha: the start.
        iterations: full passes.
        alpha_every: iterations between two steps of alpha.
        momentum: of w, heavy-ball.
    """
    x, y, weights = problem.x, problem.y, problem.weights[:, None]
    text_logits = x @ problem.names.T
    w, multipliers = problem.class_sums(), x.new_full((len(problem.names),), alpha)
    step_w, step_alpha, velocity = problem.step_w(), problem.step_alpha(), torch.zeros_like(w)
    for iteration in range(1, iterations + 1):
        residual = torch.addcmul(x @ w.T, multipliers, text_logits).softmax(dim=1)
        residual.scatter_add_(1, y[:, None], -torch.ones_like(weights)).mul_(weights)
        velocity = momentum * velocity + residual.T @ x
        w = w - step_w * velocity
        if iteration % alpha_every == 0:
            multipliers = multipliers - step_alpha * (residual * text_logits).sum(dim=0)
        yield w, multipliers
