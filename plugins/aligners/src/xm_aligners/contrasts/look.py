"""`look`: leave-one-out k nearest neighbours."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, logsumexp

from xm import PairBatch
from xm.learning import ScaledObjective
from xm.plugins import Config
from xm_aligners.contrasts.common import belonging, excluding


class LookConfig(Config):
    """Settings of `look`."""

    k: int = Field(10, ge=1, description="nearest neighbours that vote, at most all others; ours, for batches of tens")
    temperature: float = Field(0.07, gt=0, description="of the votes, at the start; CLIP's")
    learn_temperature: bool = Field(False, description="train it")
    max_scale: float = Field(100.0, gt=0, description="the largest inverse temperature; CLIP's")
    within: bool = Field(False, description="neighbours may be of one's own modality too; ours looks across only")


class Look(ScaledObjective):
    """The leave-one-out error of a weighted kNN classifier, as a loss (Feng et al., ICLR 2022).

    The k vectors nearest to a vector vote for their group, each with e^(cosine / temperature); the loss is minus the
    logarithm of its own group's part of the votes. The others of its group need not be near, so a group may have
    several modes. Without groups the group is the pair. The nearest of the own group always votes, so that a vector
    among strangers has a gradient.
    """

    config_type = LookConfig

    def forward(self, batch: PairBatch) -> Tensor:
        together = belonging(batch)
        if not self.config.within:
            cosines = batch.source @ batch.target.T
            return (self._votes(cosines, together) + self._votes(cosines.T, together)) / 2
        views = torch.cat((batch.source, batch.target))
        itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
        cosines = (views @ views.T).masked_fill(itself, -torch.inf)
        return self._votes(cosines, together.repeat(2, 2) & ~itself)

    def _votes(self, cosines: Tensor, positive: Tensor) -> Tensor:
        """The mean over rows; candidates at minus infinity are none."""
        with torch.no_grad():
            nearest = cosines.topk(min(self.config.k, cosines.shape[1]), dim=1).indices
            own = cosines.masked_fill(~positive, -torch.inf).argmax(dim=1, keepdim=True)
            voting = torch.zeros_like(positive).scatter(1, torch.cat((nearest, own), dim=1), True) & cosines.isfinite()
        logits = self.scale * cosines.masked_fill(~voting, 0.0)
        of_group = logsumexp(excluding(logits, ~(voting & positive)), dim=1)
        return (logsumexp(excluding(logits, ~voting), dim=1) - of_group).mean()
