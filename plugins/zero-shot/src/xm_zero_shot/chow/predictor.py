"""Chow's rule."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import Predictor, Stream
from xm.plugins import Config


class ChowConfig(Config):
    """The threshold, and how sharp probabilities are."""

    least: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="the most probable class's probability below which the rule abstains; 1 - Chow's t",
    )
    temperature: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="logits are divided by it; 1: probabilities as the model gives them"
    )


class Chow(Predictor):
    """The class of highest softmax probability, or none where that is below `least` (Chow, IEEE Trans. IT 1970).

    Of all rules that abstain as often, it errs least, if the probabilities are the true ones. Those of a classifier of
    cosines at scale 100 are far too sure: a temperature, or a `least` near 1, makes it abstain at all.

    An item's probabilities are the model's; where the rule abstains, half of each goes to none of the classes.
    """

    abstains = True
    config_type: ClassVar[type[Config]] = ChowConfig

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        """Probabilities (n, classes), whose rows sum to 1, or to a half where the rule abstains."""
        with torch.inference_mode():
            logits: Tensor = model(inputs)
            probabilities = (logits.float() / self.config.temperature).softmax(dim=1)
            unsure = probabilities.max(dim=1, keepdim=True).values < self.config.least
            shares: Tensor = probabilities * (1 - 0.5 * unsure)
            return shares
