"""`siglip`: every two vectors a yes-no question."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from xm import PairBatch, PairObjective
from xm.plugins import Config
from xm_aligners.contrasts.common import belonging, own_pairs


class SigLipConfig(Config):
    """Settings of `siglip`."""

    scale: float = Field(10.0, gt=0, description="t at the start, trained as its logarithm; SigLIP's")
    bias: float = Field(-10.0, description="b at the start, trained; SigLIP's; its small LiT example starts at -2.71")
    same_group: Literal["positive", "ignored"] = Field(
        "positive", description="what two of equal group are that are no pair themselves; ours"
    )


class SigLip(PairObjective):
    """The pairwise sigmoid loss (Zhai et al., ICCV 2023): the sum over all n x n divided by n."""

    config_type = SigLipConfig

    def __init__(self, config: Mapping[str, Any] | Config | None = None) -> None:
        super().__init__(config)
        self.log_scale = nn.Parameter(torch.tensor(math.log(self.config.scale)))
        self.bias = nn.Parameter(torch.tensor(self.config.bias))

    def forward(self, batch: PairBatch) -> Tensor:
        logits = self.log_scale.exp() * batch.source @ batch.target.T + self.bias
        own, together = own_pairs(batch), belonging(batch)
        terms = F.softplus(torch.where(together, -logits, logits))
        if self.config.same_group == "ignored":
            terms = terms.masked_fill(together & ~own, 0.0)
        return terms.sum() / len(batch)
