"""What the three strategies share: settings, schedule, and training on embeddings with one reading of the prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import Batch, Context, Plan, Strategy, Stream
from xm.learning import EMBEDDING, among_seen, batch_counts, joined
from xm.plugins import Config


class PromptConfig(Config):
    """Settings of all prompt learning."""

    n_ctx: int | None = Field(None, gt=0, description="context vectors; none: as many as init has tokens, else 16")
    init: str = Field("", description="words that the context starts as, such as 'a photo of a'; empty: random")
    lr: float = Field(2e-3, gt=0, description="AdamW's peak; published: 0.002, of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="AdamW's; published: 5e-4, of SGD")
    batch_size: int = Field(32, gt=0, description="over all streams; published: 32")
    epochs: int | None = Field(None, gt=0, description="over the target's samples; none: as published, by shots")
    steps: int | None = Field(None, ge=0, description="instead of epochs")
    keep: Literal["best", "last"] = Field(
        "best", description="vectors of the best look at val, or, published, the last"
    )
    scale: float = Field(100.0, gt=0, description="of the logits; CLIP's")
    chunk: int = Field(
        256, gt=0, description="prompts through the text encoder at a time; more are computed twice to save memory"
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of the prompts' passes through the text encoder; published: float16"
    )


class PromptStrategy(Strategy):
    """Learns the context of prompts; all encoders are frozen."""

    config_type: ClassVar[type[Config]] = PromptConfig

    def depths(self, target: str, aux: Sequence[str], namer: str | None) -> Mapping[str, int]:
        """The encoder that reads names is opened at its token embeddings."""
        return {} if namer is None else {namer: -1}

    def init_name(self, context: Context) -> str:
        return self.config.init or "random"

    def epochs(self, shots: int) -> int:
        """Published: 50 at 1 shot, 100 at 2 and 4, 200 at more."""
        return 50 if shots <= 1 else 100 if shots <= 4 else 200

    def plan(self, context: Context) -> Plan:
        """The published number of passes over the target's samples, of which the first warms up."""
        shares = context.shares()
        target = context.train[context.target]
        epoch = max(1, len(target) // batch_counts(shares, self.config.batch_size)[context.target])
        shots = 1 if target.y is None else int(target.y.bincount().max())
        steps = self.config.steps
        if steps is None:
            steps = epoch * (self.config.epochs or self.epochs(shots))
        return Plan(
            shares=shares,
            steps=steps,
            batch_size=self.config.batch_size,
            lr=self.config.lr,
            weight_decay=self.config.weight_decay,
            warmup=min(epoch, steps // 10),
            eval_every=max(min(epoch, max(1, (steps - 1) // 4)), steps // 20),
            precision=context.precision,
            seed=context.seed,
            keep=self.config.keep,
        )

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        """The fitted model. Where some classes are unseen, the prompts of the others alone are learned from."""
        among = among_seen(embedded(context))
        learner = model if context.seen is None else self.build(among).to(context.device)
        result = among.fit(learner, self, self.plan(among))
        context.record |= {"steps": result.steps, "best_step": result.best_step}
        if context.seen is not None:
            take_over(model, learner, context.seen)
        yield model

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """The objective over the union of all labelled streams, for one reading of the prompts."""
        return super().loss(model, {"all": together(batch)})


def take_over(model: nn.Module, learner: nn.Module, seen: Tensor) -> None:
    """Put what a learner of the seen classes learned into a model of all; what is of a class each, in their places.

    That is all of its state, the average of the vectors too, but for the prompts and the towers.
    """
    places = model.state_dict()
    for name, value in learner.state_dict().items():
        if not name.startswith(("prompts.", "towers.")):
            place = places[name]
            place[... if value.shape == place.shape else seen.to(place.device)] = value


def embedded(context: Context, rows: int = 256) -> Context:
    """The same with the samples of opened encoders in the home space: these are frozen, so once is enough.

    Args:
        rows: how many samples go through a tower at a time.
    """

    def embed(stream: Stream) -> Stream:
        if EMBEDDING in stream.x:
            return stream
        parts = [stream[part].to(context.device) for part in torch.split(torch.arange(len(stream)), rows)]
        x = torch.cat([context.towers.embed(part).x[EMBEDDING] for part in parts])
        return replace(stream.to(context.device), x={EMBEDDING: x})

    train = {name: embed(stream) for name, stream in context.train.items()}
    return replace(context, train=train, val=None if context.val is None else embed(context.val))


def together(batch: Batch) -> Stream:
    """The embeddings of all labelled streams of a batch as one stream, under the first one's modality."""
    labelled = [replace(s, x={EMBEDDING: s.x[EMBEDDING]}) for s in batch.values() if s.y is not None]
    return joined(labelled)
