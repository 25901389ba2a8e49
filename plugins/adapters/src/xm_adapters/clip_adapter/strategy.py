"""CLIP-Adapter, and the cross-modal adapter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import Context, Plan, Strategy
from xm.foundation import threads
from xm.learning import Towers, class_means, clearly_best
from xm.plugins import Config
from xm_adapters.clip_adapter.model import AdapterClassifier, random_bottleneck

Ratio: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Init: TypeAlias = Literal["names", "zero"]
PUBLISHED_RATIO = 0.2


class ClipAdapterConfig(Config):
    """Settings of the adapter. Where several values are given, all combinations are fitted; the best on val is kept."""

    ratio: Ratio | Literal["val"] = Field(
        PUBLISHED_RATIO, description="of the bottleneck's output in the features; val: the best of `ratios` on val"
    )
    ratios: tuple[Ratio, ...] = Field((0.2, 0.4, 0.6, 0.8), min_length=1, description="what ratio=val searches")
    reduction: int = Field(4, gt=0, description="features over hidden units")
    head: Literal["auto", "frozen", "trained"] = Field(
        "auto", description="the classifier behind the adapter; auto: trained with auxiliary modalities, else frozen"
    )
    init: tuple[Init, ...] = Field(
        ("names", "zero"),
        min_length=1,
        description="starts of a trained head; published: names; a frozen one is the names",
    )
    scale: float = Field(100.0, gt=0, description="of the logits; CLIP's")
    share: float = Field(0.5, gt=0, lt=1, description="of the auxiliary streams in a batch")
    lr: tuple[float, ...] = Field((1e-3, 3e-3), min_length=1, description="AdamW's")
    weight_decay: tuple[float, ...] = Field((0.01,), min_length=1, description="AdamW's")
    batch_size: int = Field(32, gt=0, description="over all streams")
    steps: int = Field(300, ge=0, description="of each combination")
    warmup: int = Field(50, ge=0, description="steps")
    eval_every: int = Field(20, gt=0, description="steps between looks at val")
    patience: int | None = Field(None, gt=0, description="looks without a new best before stopping")


class ClipAdapter(Strategy):
    """A bottleneck behind the encoder, trained; the class names are the classifier.

    With no auxiliary modality this is CLIP-Adapter (Gao et al., IJCV 2023, visual adapter): the classifier is frozen.
    With auxiliary ones it is the cross-modal adapter (Lin et al., CVPR 2023): samples of all modalities go through the
    same bottleneck, and the classifier trains too.
    """

    config_type: ClassVar[type[Config]] = ClipAdapterConfig

    def init_name(self, context: Context) -> str:
        """What the classifier started as; the bottleneck always starts at random."""
        init = context.record.get("init", self._inits(context)[0])
        return context.names.modality if init == "names" else str(init)

    def trains_head(self, context: Context) -> bool:
        if self.config.head == "auto":
            return any(name != context.target for name in context.train)
        return bool(self.config.head == "trained")

    def build(self, context: Context) -> nn.Module:
        return self._start(context, self._inits(context)[0], self._ratios(context)[0])

    def _start(self, context: Context, init: Init, ratio: float) -> AdapterClassifier:
        names = class_means(context.names, len(context.classes)).cpu()
        hidden = max(1, context.dim // self.config.reduction)
        trained = self.trains_head(context)
        model = AdapterClassifier(
            context.towers,
            *random_bottleneck(context.dim, hidden, context.generator),
            names if init == "names" else torch.zeros_like(names),
            ratio=ratio,
            scale=self.config.scale,
            unit=not trained,
            train_head=trained,
        )
        return model.to(context.device)

    def _inits(self, context: Context) -> tuple[Init, ...]:
        inits: tuple[Init, ...] = self.config.init if self.trains_head(context) else ("names",)
        return inits

    def _ratios(self, context: Context) -> tuple[float, ...]:
        if self.config.ratio != "val":
            return (self.config.ratio,)
        ratios: tuple[float, ...] = (PUBLISHED_RATIO,) if context.val is None else self.config.ratios
        return ratios

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        """The best on val of each start; the first start's, unless another is clearly better there."""
        if context.val is None:
            yield from self._along(self._inits(context)[0], context)
            return
        leaders = [max(self._along(init, context), key=context.evaluate) for init in self._inits(context)]
        yield clearly_best(leaders, context)

    def _along(self, init: Init, context: Context) -> Iterator[AdapterClassifier]:
        """Every combination of ratio, learning rate and weight decay, each from the same random bottleneck."""
        for ratio, lr, decay in itertools.product(self._ratios(context), self.config.lr, self.config.weight_decay):
            candidate = self._start(context, init, ratio)
            plan = Plan(
                shares=context.shares(self.config.share),
                steps=self.config.steps,
                batch_size=self.config.batch_size,
                lr=lr,
                weight_decay=decay,
                warmup=self.config.warmup,
                eval_every=self.config.eval_every,
                patience=self.config.patience,
                precision=context.precision,
                seed=context.seed,
            )
            with threads(1):  # a batch is too small to share out
                result = context.fit(candidate, self, plan)
            candidate.chosen |= {
                "ratio": ratio,
                "init": init,
                "lr": lr,
                "weight_decay": decay,
                "step": result.best_step,
            }
            candidate.chosen["head"] = "trained" if self.trains_head(context) else "frozen"
            yield candidate

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        return AdapterClassifier(
            towers,
            tensors["down"],
            tensors["up"],
            tensors["weight"],
            ratio=tensors["ratio"],
            scale=tensors["scale"],
            unit=tensors["unit"],
        )
