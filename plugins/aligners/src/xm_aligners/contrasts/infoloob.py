"""`infoloob`: leave-one-out contrast of retrievals from a modern Hopfield network."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, logsumexp, softmax
from torch.nn import functional as F

from xm import PairBatch
from xm.learning import ScaledObjective
from xm.plugins import Config
from xm_aligners.contrasts.common import belonging, excluding, mean_over


class InfoLoobConfig(Config):
    """Settings of `infoloob`."""

    temperature: float = Field(1 / 30, gt=0, description="at the start; CLOOB's 1/30 on Conceptual Captions")
    learn_temperature: bool = Field(False, description="train it; CLOOB doesn't")
    max_scale: float = Field(100.0, gt=0, description="the largest inverse temperature; CLIP's")
    beta: float = Field(
        8.0,
        ge=0,
        description="inverse temperature of the retrieval; CLOOB's on Conceptual Captions; 0 retrieves nothing",
    )


class InfoLoob(ScaledObjective):
    """InfoLOOB on Hopfield retrievals (Fürst et al., CLOOB, NeurIPS 2022).

    Each vector is replaced by what it retrieves, once from the batch's sources and once from its targets. Retrievals
    of one store are then contrasted, the pair left out of the denominator. `beta=0` contrasts the vectors themselves.
    Weak pairs: the positives of a group are averaged, and none of the group is a negative.
    """

    config_type = InfoLoobConfig

    def forward(self, batch: PairBatch) -> Tensor:
        together = belonging(batch)
        if self.config.beta == 0:
            return self._loob(batch.source, batch.target, together) + self._loob(batch.target, batch.source, together)
        source_of_source, source_of_target = (self._retrieve(x, batch.source) for x in (batch.source, batch.target))
        target_of_source, target_of_target = (self._retrieve(x, batch.target) for x in (batch.source, batch.target))
        return self._loob(source_of_source, source_of_target, together) + self._loob(
            target_of_target, target_of_source, together
        )

    def _retrieve(self, state: Tensor, stored: Tensor) -> Tensor:
        """What each state (n, dim) retrieves from the stored patterns (n, dim), to unit length."""
        return F.normalize(softmax(self.config.beta * state @ stored.T, dim=1) @ stored, dim=1)

    def _loob(self, anchors: Tensor, others: Tensor, together: Tensor) -> Tensor:
        """The mean over anchors of -positive + log sum exp over negatives, times the temperature."""
        logits = self.scale * anchors @ others.T
        positive = (logits * together).sum(dim=1) / together.sum(dim=1)
        negative = logsumexp(excluding(logits, together), dim=1)
        return mean_over(negative - positive, ~together.all(dim=1)) / self.scale
