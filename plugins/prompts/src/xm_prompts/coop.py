"""CoOp: context optimisation."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from xm import Context, UsageError
from xm.learning import LinearClassifier
from xm.plugins import Config
from xm_prompts.learner import PromptLearner, Prompts
from xm_prompts.strategy import PromptConfig, PromptStrategy
from xm_prompts.texts import Position, opened_tail, start_vectors, written


class CoOpConfig(PromptConfig):
    """Settings of CoOp; the defaults are the paper's (section 4.1) but for the optimiser."""

    csc: bool = Field(False, description="class-specific context: each class learns vectors of its own")
    position: Position = Field("end", description="where the class's name stands: end, middle or front")
    average: float = Field(
        0.0, ge=0, lt=1, description="decay of a moving average of the vectors, which is what val and test see; 0: none"
    )


class CoOp(PromptStrategy):
    """The context vectors of the class prompts are learned through the frozen text encoder (Zhou et al., IJCV 2022).

    With auxiliary modalities their samples are samples for the classifier that the prompts make (Lin et al., CVPR
    2023). At the end the prompts are read once more, and the model is the linear classifier of their vectors.
    """

    config_type: ClassVar[type[Config]] = CoOpConfig

    def build(self, context: Context) -> nn.Module:
        return self.learner(context)

    def learner(self, context: Context) -> PromptLearner:
        """The model to be trained."""
        namer, tail = opened_tail(context)
        ctx = start_vectors(context, tail, self.config.init, self.config.n_ctx, context.generator)
        text = written(context, len(ctx), self.config.position)
        context.record["n_ctx"] = len(ctx)
        if self.config.csc:
            ctx = self._each_class(ctx, context)
        prompts = Prompts(text.x, text.slots, self.config.chunk, self.config.precision)
        return PromptLearner(context.towers, namer, prompts, ctx, self.config.scale, bool(self.config.average))

    def stepped(self, model: nn.Module, step: int) -> None:
        """The average moves towards the vectors; at first faster, for it starts where they did."""
        if isinstance(model, PromptLearner) and model.average is not None:
            decay = min(self.config.average, (1 + step) / (10 + step))
            model.average.lerp_(model.ctx, 1 - decay)

    def _each_class(self, ctx: torch.Tensor, context: Context) -> torch.Tensor:
        """Vectors for each class: the same words, or a draw of its own."""
        shape = (len(context.classes), *ctx.shape)
        if self.config.init:
            return ctx.expand(shape).clone()
        return 0.02 * torch.randn(shape, generator=context.generator)

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        if not isinstance(model, PromptLearner):
            raise TypeError(f"prompts make no classifier of a {type(model).__name__}")
        with torch.no_grad():
            folded = LinearClassifier(context.towers, model.eval().weight(), self.config.scale, trainable=False)
        return folded.keeping(ctx=model.vectors)

    def reclass(self, model: nn.Module, context: Context) -> nn.Module:
        """A new class's row is read from its prompt, with the context that was learned."""
        if not isinstance(model, LinearClassifier):
            raise TypeError(f"prompts can't be added to a {type(model).__name__}")
        ctx = model.state_dict().get("ctx")
        if ctx is None:
            raise UsageError("the run keeps no context vectors, as one of an older xm: train again with this xm")
        if ctx.ndim > 2:
            raise UsageError("csc=true learns a context for each class, and a new class has none: train with csc=false")
        namer, _ = opened_tail(context)
        new = replace(context, classes=context.classes[len(model.weight) :])
        text = written(new, len(ctx), self.config.position)
        prompts = Prompts(text.x, text.slots, self.config.chunk, self.config.precision)
        learner = PromptLearner(context.towers, namer, prompts, ctx, self.config.scale).to(context.device).eval()
        with torch.no_grad():
            return model.extended(learner.weight())
