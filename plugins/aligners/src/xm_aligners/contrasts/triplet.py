"""`triplet`: a margin between a pair and its violators."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from xm import PairBatch, PairObjective
from xm.plugins import Config
from xm_aligners.contrasts.common import belonging


class TripletConfig(Config):
    """Settings of `triplet`."""

    margin: float = Field(0.2, gt=0, description="by which a pair's cosine must exceed its negatives'; VSE++'s")
    negatives: Literal["hardest", "all"] = Field(
        "hardest", description="hardest: of the batch, one for each side, VSE++; all: their sum, VSE0"
    )


class Triplet(PairObjective):
    """The hinge loss with a margin (Faghri et al., VSE++, BMVC 2018), the mean over pairs.

    Negatives are the other vectors of the batch, in both directions; of equal group none is one.
    """

    config_type = TripletConfig

    def forward(self, batch: PairBatch) -> Tensor:
        cosines, together = batch.source @ batch.target.T, belonging(batch)
        own = cosines.diagonal()
        of_source = F.relu(self.config.margin + cosines - own[:, None]).masked_fill(together, 0.0)
        of_target = F.relu(self.config.margin + cosines - own[None, :]).masked_fill(together, 0.0)
        if self.config.negatives == "hardest":
            return (of_source.amax(dim=1) + of_target.amax(dim=0)).mean()
        return (of_source + of_target).sum() / len(batch)
