"""CoCoOp: conditional context optimisation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import Context, Plan
from xm.encoders import Promptable
from xm.learning import Towers
from xm.plugins import Config
from xm_prompts.learner import ConditionalLearner, Prompts
from xm_prompts.strategy import PromptConfig, PromptStrategy
from xm_prompts.texts import opened_tail, start_vectors, written


class CoCoOpConfig(PromptConfig):
    """Settings of CoCoOp; the defaults are the paper's (section 4) but for the optimiser and the batch."""

    init: str = Field("a photo of a", description="words that the context starts as; empty: random")
    batch_size: int = Field(4, gt=0, description="over all streams; published: 1")
    epochs: int | None = Field(10, gt=0, description="over the target's samples; published: 10")


class CoCoOp(PromptStrategy):
    """A context that a small network shifts for each item (Zhou et al., CVPR 2022).

    The prompts depend on the item, so for each item all of them are read: in training and in prediction, which
    therefore needs the text encoder.
    """

    config_type: ClassVar[type[Config]] = CoCoOpConfig

    def plan(self, context: Context) -> Plan:
        """Looks at val are so far apart that they take no longer than training: a step costs three readings."""
        plan = super().plan(context)
        items = 0 if context.val is None else len(context.val)
        return replace(plan, eval_every=max(plan.eval_every, math.ceil(items / (3 * plan.batch_size))))

    def build(self, context: Context) -> nn.Module:
        namer, tail = opened_tail(context)
        generator = context.generator
        ctx = start_vectors(context, tail, self.config.init, self.config.n_ctx, generator)
        text = written(context, len(ctx))
        context.record["n_ctx"] = len(ctx)
        hidden = max(1, context.dim // 16)
        meta = meta_network(context.dim, hidden, ctx.shape[1])
        for layer in (meta[0], meta[2]):
            _draw(layer, generator)
        return self._learner(
            context.towers, namer, Prompts(text.x, text.slots, self.config.chunk, self.config.precision), ctx, meta
        )

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        namer = next(name for name, tower in towers.items() if isinstance(tower.tail, Promptable))
        hidden, dim = tensors["meta.0.weight"].shape
        meta = meta_network(dim, hidden, len(tensors["meta.2.weight"]))
        meta.load_state_dict({n.removeprefix("meta."): v for n, v in tensors.items() if n.startswith("meta.")})
        prompts = Prompts.restored(tensors, self.config.chunk, self.config.precision)
        model = self._learner(towers.requires_grad_(False), namer, prompts, tensors["ctx"], meta)
        return model.requires_grad_(False)

    def reclass(self, model: nn.Module, context: Context) -> nn.Module:
        """The prompts of all classes, old and new, with the same context and network."""
        if not isinstance(model, ConditionalLearner):
            raise TypeError(f"prompts can't be added to a {type(model).__name__}")
        text = written(context, len(model.ctx))
        prompts = Prompts(text.x, text.slots, self.config.chunk, self.config.precision)
        found = self._learner(model.towers, model.namer, prompts, model.ctx.detach(), model.meta)
        return found.to(context.device).requires_grad_(False)

    def _learner(
        self, towers: Towers, namer: str, prompts: Prompts, ctx: Tensor, meta: nn.Module
    ) -> ConditionalLearner:
        return ConditionalLearner(towers, namer, prompts, ctx, meta, self.config.scale)


def meta_network(dim: int, hidden: int, width: int) -> nn.Sequential:
    """From an item's embedding (n, dim) to the shift (n, width) of its context: the paper's Meta-Net, uninitialised."""
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, width))
    return network.to_empty(device="cpu")


def _draw(layer: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's own initialisation of a linear layer, by a generator: uniform, within 1 / sqrt(inputs)."""
    if not isinstance(layer, nn.Linear):
        raise TypeError(f"{type(layer).__name__} is not linear")
    bound = 1 / math.sqrt(layer.in_features)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
