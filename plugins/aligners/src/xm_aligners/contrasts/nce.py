"""`nce`: CroMA's alignment loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from xm import PairBatch
from xm.learning import ScaledObjective
from xm.plugins import Config
from xm_aligners.contrasts.common import belonging, excluding


class NceConfig(Config):
    """Settings of `nce`."""

    form: Literal["softmax", "margin"] = Field(
        "softmax", description="softmax: NCE among negatives; margin: the hinge on group means of CroMA's code"
    )
    negatives: int = Field(0, ge=0, description="of softmax: unpaired vectors drawn for each pair; 0: all of the batch")
    symmetric: bool = Field(False, description="of softmax: contrast the home side's vectors too; CroMA doesn't")
    temperature: float = Field(0.07, gt=0, description="of softmax, at the start; CLIP's")
    learn_temperature: bool = Field(True, description="train it; CLIP does")
    max_scale: float = Field(100.0, gt=0, description="the largest inverse temperature; CLIP's")
    margin: float = Field(0.1, ge=0, description="of margin; the default of CroMA's code, whose recipes ran with 0.5")


class Nce(ScaledObjective):
    """Noise contrastive estimation, CroMA's alignment loss (Liang et al., ACM Multimedia 2021, equation 2).

    A vector of the home side (`target`; the paper's labelled source modality) picks its partner among vectors of the
    new side (`source`) that it is not paired with. Weak pairs: every pair of equal group is a pair, none a negative.
    """

    config_type = NceConfig

    def __init__(self, config: Mapping[str, Any] | Config | None = None) -> None:
        super().__init__(config)
        self.log_scale.requires_grad_(self.config.learn_temperature and self.config.form == "softmax")

    def forward(self, batch: PairBatch) -> Tensor:
        if self.config.form == "margin":
            return self._margin(batch)
        cosines, together = batch.target @ batch.source.T, belonging(batch)
        loss = self._softmax(cosines, together)
        return (loss + self._softmax(cosines.T, together)) / 2 if self.config.symmetric else loss

    def _softmax(self, cosines: Tensor, together: Tensor) -> Tensor:
        """The mean over all pairs (a, p) of -log e^s(a,p) / (e^s(a,p) + sum over negatives of a)."""
        logits = self.scale * cosines
        negatives = torch.logsumexp(excluding(logits, together | ~self._drawn(together)), dim=1, keepdim=True)
        return F.softplus(negatives - logits)[together].mean()

    def _drawn(self, together: Tensor) -> Tensor:
        """(n, n): which vectors may be negatives of a row; draws by PyTorch's own generator."""
        count = self.config.negatives
        if count == 0 or count >= len(together):
            return torch.ones_like(together)
        keys = torch.rand(together.shape).to(together.device).masked_fill(together, 2.0)
        chosen = torch.zeros_like(together)
        return chosen.scatter(1, keys.argsort(dim=1)[:, :count], True)

    def _margin(self, batch: PairBatch) -> Tensor:
        """The hinge between means of groups: a group's own similarity exceeds others' to it by the margin."""
        source, target = batch.source, batch.target
        if batch.group is not None:
            member = belonging(batch).to(source.dtype)
            first = member.argmax(dim=1) == torch.arange(len(batch), device=source.device)
            means = (member / member.sum(dim=1, keepdim=True))[first]
            source, target = means @ source, means @ target
        similarity = source @ target.T
        violation = F.relu(self.config.margin + similarity - similarity.diagonal())
        own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
        return violation.masked_fill(own, 0.0).sum() / len(batch)
