"""Another strategy's model, with label propagation as its rule."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import nn

from xm import Context
from xm.learning import Wrapping, WrappingConfig
from xm.plugins import Config


class PropagatedConfig(WrappingConfig):
    """Settings of the strategy `label-propagation`."""

    inner: str = Field("zero-shot", description="the strategy inside; one that ends in a linear classifier")


class Propagated(Wrapping):
    """The model of another strategy, which the predictor `label-propagation` decides for.

    So one run holds a model with its rule, and baselines beside it keep theirs.
    """

    config_type: ClassVar[type[Config]] = PropagatedConfig
    predictor = "label-propagation"

    def build(self, context: Context) -> nn.Module:
        return context.adapt(self.inner)
