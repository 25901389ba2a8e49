"""Evidential learning."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence
from torch.nn.functional import softplus

from xm import StepObjective
from xm.plugins import Config


class EvidentialConfig(Config):
    """Settings of evidential learning."""

    anneal: float = Field(
        0.2, ge=0, le=1, description="part of the steps until the divergence counts in full; published: 10 epochs"
    )
    divergence: float = Field(1.0, ge=0, description="weight of the divergence when it counts in full; published")


class Evidential(StepObjective):
    """Evidence e = softplus(logits), alpha = e + 1, S = sum(alpha): opinions of a Dirichlet distribution.

    A sample of class y costs ``digamma(S) - digamma(alpha_y)``, the expected cross-entropy (Sensoy et al., NeurIPS
    2018, equation 4), and lambda_t times the divergence from the uniform distribution of what remains when the evidence
    for y is taken away. lambda_t rises from 0 to 1 along the first `anneal` of the steps; outside of a fit it is 1.
    """

    config_type: ClassVar[type[Config]] = EvidentialConfig

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        alpha = softplus(logits) + 1
        expected = torch.digamma(alpha.sum(dim=1)) - torch.digamma(alpha.gather(1, labels[:, None])[:, 0])
        others = alpha.scatter(1, labels[:, None], 1.0)
        uniform = Dirichlet(torch.ones_like(alpha), validate_args=False)
        misled = kl_divergence(Dirichlet(others, validate_args=False), uniform)
        losses: Tensor = expected + self.config.divergence * self.annealed * misled
        return losses.mean() if weights is None else (losses * weights).sum() / weights.sum()

    @property
    def annealed(self) -> float:
        """lambda_t, 0..1."""
        anneal: float = self.config.anneal
        return min(1.0, self.progress / anneal) if anneal else 1.0
