"""CLAP, the class-adaptive linear probe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import Batch, Context, Plan, Strategy, Stream
from xm.learning import EMBEDDING, Curvature, class_means, descend, likeliest_scale
from xm.plugins import Config
from xm_probes.class_adaptive_probe.probe import PinnedProbe, zero_shot_multipliers


class ClassAdaptiveProbeConfig(Config):
    """Settings of the class-adaptive probe. None of them is chosen by looking at val."""

    multipliers: Literal["class", "mean", "one", "none"] = Field(
        "class", description="of the penalty: a class its own; their mean for all; one for all; none, that is ZS-LP"
    )
    penalty: float = Field(1.0, ge=0, description="times the multipliers; for prototypes of unit length")
    scale: Annotated[float, Field(gt=0)] | Literal["support"] = Field(
        "support",
        description="of the logits; support: the likeliest for the zero-shot classifier on the samples, shrunk to 100",
    )
    share: float = Field(0.5, gt=0, lt=1, description="of the auxiliary streams in the objective or a batch")
    solver: Literal["lbfgs", "adamw"] = Field("lbfgs", description="full batch, or the published schedule in the loop")
    tolerance: float = Field(
        1e-2, gt=0, lt=1, description="lbfgs: it ends where the largest gradient is this part of that at the start"
    )
    max_iter: int = Field(100, ge=0, description="lbfgs: iterations at most")
    epochs: int = Field(300, ge=0, description="adamw: passes over the target's samples; published")
    batch_size: int = Field(256, gt=0, description="adamw: over all streams; published")
    lr: float = Field(1e-3, gt=0, description="adamw: the peak; published: SGD at 0.1, momentum 0.9")


class ClassAdaptiveProbe(Strategy):
    """CLAP (Silva-Rodríguez et al., CVPR 2024), with ZS-LP as `multipliers=none`.

    Cross-entropy of the scaled cosine to one row a class, plus ``mean_c multiplier_c |w_c - t_c|^2``. The rows start
    at the class names t_c; a class's multiplier is the mean zero-shot probability of its own samples' label, and stays
    as it is. Val is never looked at. Samples of auxiliary modalities join the union. Where the encoders came with no
    temperature of their own, as CLIP does, `scale=support` finds one.
    """

    config_type: ClassVar[type[Config]] = ClassAdaptiveProbeConfig

    def init_name(self, context: Context) -> str:
        """The modality of the class names."""
        return context.names.modality

    def build(self, context: Context) -> nn.Module:
        prototypes = class_means(context.names.to(context.device), len(context.classes))
        support = context.train[context.target].to(context.device)
        fitted = self.config.scale == "support"
        cosines = support.x[EMBEDDING] @ prototypes.T
        scale = likeliest_scale(cosines, support.labels) if fitted else float(self.config.scale)
        factors = self._multipliers(prototypes, support, scale)
        context.record |= {"scale": scale, "multipliers": [round(value, 6) for value in factors.tolist()]}
        return PinnedProbe(context.towers, prototypes, self.config.penalty * factors, scale)

    def _multipliers(self, prototypes: Tensor, support: Stream, scale: float) -> Tensor:
        if self.config.multipliers == "none":
            return torch.zeros_like(prototypes[:, 0])
        if self.config.multipliers == "one":
            return torch.ones_like(prototypes[:, 0])
        own = zero_shot_multipliers(prototypes, support, scale)
        return own.mean().expand_as(own) if self.config.multipliers == "mean" else own

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """The objective over the union, and the penalty."""
        probe = _pinned(model)
        return {**super().loss(probe, batch), "penalty": probe.penalty(probe.weight)}

    def plan(self, context: Context) -> Plan:
        """The published schedule: incomplete batches are dropped, and the first epoch warms up."""
        batches = max(1, len(context.train[context.target]) // self.config.batch_size)
        return Plan(
            shares=context.shares(self.config.share),
            steps=self.config.epochs * batches,
            batch_size=self.config.batch_size,
            lr=self.config.lr,
            weight_decay=0.0,
            warmup=batches,
            precision=context.precision,
            seed=context.seed,
        )

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        """One candidate. The loop is shown no val, for it would keep the step that is best there."""
        if self.config.solver == "adamw":
            yield from super().solve(model, replace(context, val=None))
            return
        probe = _pinned(model)
        self._descend(probe, context)
        yield probe

    def _descend(self, probe: PinnedProbe, context: Context) -> None:
        """Full-batch L-BFGS from the prototypes; each stream has its share of the objective."""
        shares = context.shares(self.config.share)
        streams = {name: stream.to(probe.weight.device) for name, stream in context.train.items()}
        x = torch.cat([stream.x[EMBEDDING] for stream in streams.values()])
        y = torch.cat([stream.labels for stream in streams.values()])
        weights = torch.cat([shares[name] * stream.parts for name, stream in streams.items()])

        def function(rows: Tensor) -> tuple[float, Tensor]:
            rows = rows.detach().requires_grad_()
            value = self.objective(probe.cosines(x, rows), y, weights) + probe.penalty(rows)
            (gradient,) = torch.autograd.grad(value, rows)
            return value.item(), gradient

        largest = float(probe.scale) ** 2 / 2  # of softmax regression on unit vectors; less would overshoot at first
        start = probe.weight.detach()
        found = descend(function, start, Curvature(largest), self.config.max_iter, self.config.tolerance)
        with torch.no_grad():
            probe.weight.copy_(found)

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        return _pinned(model).plain()


def _pinned(model: nn.Module) -> PinnedProbe:
    if not isinstance(model, PinnedProbe):
        raise TypeError(f"a class-adaptive probe can't be made of a {type(model).__name__}")
    return model
