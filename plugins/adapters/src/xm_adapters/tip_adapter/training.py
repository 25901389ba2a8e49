"""Tip-Adapter-F: the cache's keys are trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from xm import Context, Plan
from xm.learning import add_up, batch_counts
from xm.plugins import Config
from xm_adapters.tip_adapter.search import without_own_keys
from xm_adapters.tip_adapter.strategy import TipAdapter, TipAdapterConfig, cache_model

LOOP_EPS = 1e-8
"""Of AdamW in `xm.fit`, torch's own."""


class TipAdapterFConfig(TipAdapterConfig):
    """Tip-Adapter's settings, and those of training."""

    epochs: int = Field(20, ge=0, description="passes over the target's samples; published: 20, EuroSAT 100")
    batch_size: int = Field(256, gt=0, description="over all streams")
    lr: float = Field(1e-3, gt=0, description="AdamW's, the start of a cosine to zero")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's; published: torch's default")
    eps: float = Field(1e-4, gt=0, description="AdamW's")
    share: float = Field(0.5, gt=0, lt=1, description="of the auxiliary streams in a batch")
    start: Literal["val", "init"] = Field(
        "val",
        description="beta and alpha in training: the best on val before it, or init_beta and init_alpha",
    )
    own_key: bool = Field(
        False, description="in training a sample also meets the key it made itself; published: it does, under crops"
    )


class TipAdapterF(TipAdapter):
    """Zhang et al., ECCV 2022, section 3.2. The epoch is picked on val, then beta and alpha are searched on val."""

    config_type: ClassVar[type[Config]] = TipAdapterFConfig
    trainable: ClassVar[bool] = True

    def plan(self, context: Context) -> Plan:
        """An epoch has the steps that the target's share of a batch needs for its samples; each looks at val once."""
        shares = context.shares(self.config.share)
        count = batch_counts(shares, self.config.batch_size)[context.target]
        epoch = math.ceil(len(context.train[context.target]) / count)
        return Plan(
            shares=shares,
            steps=self.config.epochs * epoch,
            batch_size=self.config.batch_size,
            lr=self.config.lr,
            weight_decay=self.config.weight_decay,
            warmup=0,
            eval_every=epoch,
            precision=context.precision,
            seed=context.seed,
        )

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        model = cache_model(model)
        if self.config.start == "val":
            self.tune(model, context, train=True)
            if not model.alpha:  # names alone: the keys would learn nothing
                model.alpha.fill_(self.config.init_alpha)
        model.chosen |= {f"training_{name}": float(f"{float(getattr(model, name)):.6g}") for name in ("beta", "alpha")}
        here = context if self.config.own_key else replace(context, train=without_own_keys(context.train))
        plan = self.plan(context)
        result = here.fit(model, self, plan)
        model.chosen |= {"step": result.best_step, "steps": result.steps}
        yield model

    def backward(self, model: nn.Module, losses: Mapping[str, Tensor]) -> None:
        """AdamW moves by ``m / (sqrt(v) + eps)``, so the loop's small eps on smaller gradients is a larger eps."""
        add_up(model, losses)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(LOOP_EPS / self.config.eps)
