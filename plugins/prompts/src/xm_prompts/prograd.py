"""ProGrad: prompt-aligned gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softmax

from xm import Batch, Context
from xm.learning import EMBEDDING, class_means
from xm.plugins import Config
from xm_prompts.coop import CoOp, CoOpConfig
from xm_prompts.strategy import together


class ProGradConfig(CoOpConfig):
    """Settings of ProGrad; the defaults are those of the official configurations but for the optimiser."""

    n_ctx: int | None = Field(16, gt=0, description="context vectors; those before init's words start as zeros")
    init: str = Field("a photo of a", description="words that the context's end starts as; empty: all random")
    lam: float = Field(1.0, ge=0, le=1, description="how much of the conflict is taken out; 0: coop")
    temperature: float = Field(1.0, gt=0, description="of both distributions in the divergence")


class ProGrad(CoOp):
    """CoOp whose gradient loses its part against that of the divergence from zero-shot (Zhu et al., ICCV 2023).

    The zero-shot classifier is the mean of the class names through the templates.
    """

    config_type: ClassVar[type[Config]] = ProGradConfig

    def build(self, context: Context) -> nn.Module:
        model = self.learner(context)
        model.register_buffer("zero_shot", class_means(context.names, len(context.classes)))
        return model

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """``xe``, the objective, and ``kl``, the cross-entropy between zero-shot and learned probabilities.

        The latter has the gradient of their Kullback-Leibler divergence.
        """
        samples = together(batch)
        logits = model(samples)
        expected = self.config.scale * samples.x[EMBEDDING] @ model.zero_shot.T
        return {
            "xe": self.objective(logits, samples.labels, samples.weight),
            "kl": divergence(logits, expected, self.config.temperature),
        }

    def backward(self, model: nn.Module, losses: Mapping[str, Tensor]) -> None:
        """The gradient of ``xe``, projected where it contradicts that of ``kl``, one parameter at a time."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        general = torch.autograd.grad(losses["kl"], parameters, retain_graph=True)
        specific = torch.autograd.grad(losses["xe"], parameters)
        for parameter, own, kept in zip(parameters, specific, general, strict=True):
            parameter.grad = projected(own, kept, self.config.lam)


def divergence(logits: Tensor, expected: Tensor, temperature: float) -> Tensor:
    """``-T^2 * sum(softmax(expected / T) * log_softmax(logits / T))``, the mean over items."""
    terms = softmax(expected / temperature, dim=1) * log_softmax(logits / temperature, dim=1)
    return -(temperature**2) * terms.sum(dim=1).mean()


def projected(gradient: Tensor, general: Tensor, lam: float) -> Tensor:
    """The gradient without `lam` times its part along `general`, if that part is negative."""
    against = (gradient * general).sum().clamp_max(0)
    return gradient - lam * against / general.square().sum().clamp_min(1e-30) * general
