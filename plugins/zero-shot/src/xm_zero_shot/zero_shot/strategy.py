"""Zero-shot classification."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from xm import Context, Strategy
from xm.learning import LinearClassifier, class_means
from xm.plugins import Config


class ZeroShotConfig(Config):
    """Settings of the zero-shot classifier."""

    scale: float = Field(100.0, gt=0, description="of the logits; CLIP's")


class ZeroShot(Strategy):
    """A class's weights are the mean of its auxiliary samples (Radford et al., ICML 2021, section 3.1.4).

    Several auxiliary modalities count equally. With several sentences a class this is prompt ensembling.
    """

    config_type: ClassVar[type[Config]] = ZeroShotConfig

    def build(self, context: Context) -> nn.Module:
        means = [class_means(stream, len(context.classes)) for stream in context.train.values()]
        weight = nn.functional.normalize(torch.stack(means).mean(dim=0), dim=1)
        return LinearClassifier(context.towers, weight, self.config.scale, trainable=False)

    def reclass(self, model: nn.Module, context: Context) -> nn.Module:
        """A new class's row is the mean of its name through the templates, whatever the others were made of."""
        if not isinstance(model, LinearClassifier):
            raise TypeError(f"zero-shot has no classes to add to a {type(model).__name__}")
        return model.extended(class_means(context.names, len(context.classes))[len(model.weight) :])

    def init_name(self, context: Context) -> str:
        return "+".join(context.train)
