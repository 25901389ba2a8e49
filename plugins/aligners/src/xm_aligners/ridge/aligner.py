"""Ridge regression between spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from xm import AlignContext, Aligner
from xm.alignment import Affine, ridge
from xm.encoders import Tail
from xm.plugins import Config


class RidgeConfig(Config):
    """Settings of the ridge aligner."""

    alphas: tuple[float, ...] = Field(
        tuple(10.0**k for k in range(-4, 3)),
        min_length=1,
        description="regularisers, of which leave-one-out error on the pairs picks one",
    )


class Ridge(Aligner):
    """The affine map with the least squared error on pairs, plus an L2 penalty.

    Both sides are unit vectors; the intercept takes the source's mean to the target's.
    """

    uses_pairs = True
    config_type: ClassVar[type[Config]] = RidgeConfig

    def why_not(self, context: AlignContext) -> str | None:
        return context.lacks_pairs()

    def fit(self, context: AlignContext) -> nn.Module:
        if context.pairs is None:
            raise ValueError("ridge needs pairs")
        tail = Tail()
        affine = ridge(tail(context.pairs.source), tail(context.pairs.target), self.config.alphas)
        return nn.Sequential(tail, affine)

    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        return nn.Sequential(Tail(), Affine(tensors["1.weight"], tensors["1.bias"]))
