"""Partial finetuning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from pydantic import Field
from torch import nn

from xm import Context
from xm.learning import LinearClassifier, LinearProbe, ParameterGroup, Share, Weight
from xm.plugins import Config


class PartialConfig(Config):
    """Settings of partial finetuning; the defaults are those of the published script and code of Lin et al."""

    depth: int = Field(1, ge=-1, description="of the target's encoder: its last blocks that are trained; -1: all")
    aux_depth: int = Field(0, ge=-1, description="of the auxiliary encoders; published: 0, the text's is frozen")
    init: str = Field("auto", description="auto, random, zero, or a modality whose class means are the start")
    scale: float = Field(math.exp(4.0), gt=0, description="of the logits; published: exp(4)")
    share: Share | dict[str, Share] = Field(0.5, description="of the auxiliary streams in a batch; or by modality")
    weights: dict[str, Weight] = Field({}, description="of a modality's samples in the loss; 1 where not named")
    lr: tuple[float, ...] = Field((1e-5, 1e-6, 1e-7), min_length=1, description="AdamW's learning rates")
    encoder_lr: float = Field(
        1.0, ge=0, description="of the encoders, times lr, which is then the head's; published: 1"
    )
    weight_decay: tuple[float, ...] = Field((0.0, 1e-3, 1e-5), min_length=1, description="AdamW's")
    batch_size: tuple[int, ...] = Field((8,), min_length=1, description="over all streams")
    steps: int = Field(12_800, ge=0, description="of each training")
    warmup: int = Field(50, ge=0, description="steps")
    eval_every: int = Field(100, gt=0, description="steps between looks at val")
    patience: int | None = Field(None, gt=0, description="looks without a new best before stopping")


class Partial(LinearProbe):
    """Cross-entropy over the union of all modalities' samples trains the head and the end of encoders together.

    Every combination of learning rate, weight decay and batch size starts anew; val picks one. The record's "init" is
    the head's: the encoders start as they are. An auxiliary modality that is not opened is its embeddings.
    """

    config_type: ClassVar[type[Config]] = PartialConfig

    def depths(self, target: str, aux: Sequence[str], namer: str | None) -> Mapping[str, int]:
        wanted = {**dict.fromkeys(aux, self.config.aux_depth), target: self.config.depth}
        return {modality: depth for modality, depth in wanted.items() if depth}

    def groups(self, model: nn.Module) -> Sequence[ParameterGroup] | None:
        """What is trained of the encoders, if it has a rate of its own."""
        if self.config.encoder_lr == 1:
            return None
        towers = [parameter for parameter in model.get_submodule("towers").parameters() if parameter.requires_grad]
        return [ParameterGroup(towers, lr_scale=self.config.encoder_lr)]

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        if not isinstance(model, LinearClassifier):
            raise TypeError(f"partial finetuning can't train a {type(model).__name__}")
        yield from self.sweep(model, context)
