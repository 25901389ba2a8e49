"""`supcon`: supervised contrast across modalities."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from xm import PairBatch
from xm.learning import ScaledObjective
from xm.plugins import Config
from xm_aligners.contrasts.common import belonging, excluding


class SupConConfig(Config):
    """Settings of `supcon`."""

    temperature: float = Field(0.1, gt=0, description="at the start; the paper's")
    learn_temperature: bool = Field(False, description="train it; the paper doesn't")
    max_scale: float = Field(100.0, gt=0, description="the largest inverse temperature; CLIP's")
    within: bool = Field(
        False, description="contrast with one's own modality too: sources and targets as two views, as in the paper"
    )


class SupCon(ScaledObjective):
    """The supervised contrastive loss L_out (Khosla et al., NeurIPS 2020, equation 2).

    An anchor's positives are all vectors of its group, its denominator all vectors but itself. Across modalities
    (`within=False`) positives and denominator are of the other modality only.
    """

    config_type = SupConConfig

    def forward(self, batch: PairBatch) -> Tensor:
        together = belonging(batch)
        if not self.config.within:
            logits = self.scale * batch.source @ batch.target.T
            return (_outside(logits, together) + _outside(logits.T, together)) / 2
        views = torch.cat((batch.source, batch.target))
        itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
        return _outside(excluding(self.scale * views @ views.T, itself), together.repeat(2, 2) & ~itself)


def _outside(logits: Tensor, positive: Tensor) -> Tensor:
    """The mean over anchors of the mean over positives, outside the logarithm, of -log softmax."""
    return -((torch.log_softmax(logits, dim=1) * positive).sum(dim=1) / positive.sum(dim=1)).mean()
