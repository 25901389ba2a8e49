"""`cwcl`: the continuously weighted contrastive loss."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from xm import PairBatch
from xm.learning import ScaledObjective
from xm.plugins import Config
from xm_aligners.contrasts.common import belonging


class CwclConfig(Config):
    """Settings of `cwcl`."""

    temperature: float = Field(0.07, gt=0, description="at the start; CLIP's")
    learn_temperature: bool = Field(True, description="train it; CLIP does")
    max_scale: float = Field(100.0, gt=0, description="the largest inverse temperature; CLIP's")


class Cwcl(ScaledObjective):
    """The continuously weighted contrastive loss (Srinivasa et al., NeurIPS 2023), and CLIP's in the other direction.

    A target's positives are all sources, each by the weight (1 + cosine) / 2 of its target to this one in the frozen
    space, divided by their sum; a source's positive is its own target. The two directions are added. Weak pairs: of
    equal group the weight is 1, and a source has all targets of its group as positives.
    """

    config_type = CwclConfig

    def forward(self, batch: PairBatch) -> Tensor:
        together = belonging(batch).to(batch.source.dtype)
        weights = (1 + batch.frozen @ batch.frozen.T) / 2
        if batch.group is not None:
            weights = weights.maximum(together)
        logits = self.scale * batch.target @ batch.source.T
        return _soft_cross_entropy(logits, weights) + _soft_cross_entropy(logits.T, together)


def _soft_cross_entropy(logits: Tensor, weights: Tensor) -> Tensor:
    """The mean cross-entropy of rows to their weights, which are first divided by their sum."""
    wanted = weights / weights.sum(dim=1, keepdim=True)
    return -(wanted * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
