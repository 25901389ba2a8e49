"""How the loop optimises: the plan, the learning rate of a step, and groups of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import nn

from xm.foundation.errors import UsageError

Schedule: TypeAlias = Literal["cosine", "constant", "linear"]
Keep: TypeAlias = Literal["best", "last"]


FALLS: Mapping[Schedule, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
    "linear": lambda done: 1 - done,
}
"""The part of the peak learning rate that is left, by the part of the plan's steps since the warm-up."""


@dataclass(frozen=True)
class Plan:
    """How `fit` goes about it. The defaults are the published ones (Lin et al., CVPR 2023, appendix).

    Attributes:
        shares: of each stream in a batch, summing to 1.
        steps: at most; 0 trains nothing.
        batch_size: over all streams.
        lr: AdamW's peak learning rate.
        weight_decay: AdamW's.
        warmup: steps of linear warm-up, before the schedule.
        warmup_lr: of the very first step.
        eval_every: steps between scores.
        patience: scores without a new best before stopping; None never stops early.
        precision: "float32", "bfloat16" or "float16".
        seed: of the batches.
        betas: AdamW's, of the running means of gradients and of their squares.
        schedule: after the warm-up: a cosine to zero, a straight line to zero, or constant.
        keep: the parameters of the best score, or of the last step; then scores are still noted, and stop it early.

    Raises:
        UsageError: if one of the last three is none of what there is.
    """

    shares: Mapping[str, float]
    steps: int = 12_800
    batch_size: int = 8
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 50
    warmup_lr: float = 1e-5
    eval_every: int = 100
    patience: int | None = None
    precision: str = "float32"
    seed: int = 1
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Schedule = "cosine"
    keep: Keep = "best"

    def __post_init__(self) -> None:
        for name, given, known in (("schedule", self.schedule, Schedule), ("keep", self.keep, Keep)):
            if given not in get_args(known):
                raise UsageError(f"{name}={given!r}: it is one of {', '.join(get_args(known))}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise UsageError(f"betas={self.betas!r}: two numbers from 0 to below 1, such as (0.9, 0.999)")


def learning_rate(plan: Plan, step: int) -> float:
    """The learning rate of a step, counted from 0.

    The published schedule: `warmup_lr` at step 0, then linear to the peak, then a cosine that would reach zero
    `steps` steps after the end of the warm-up. A line would reach zero there as well.
    """
    if step < plan.warmup:
        return plan.warmup_lr if step == 0 else plan.lr * step / plan.warmup
    done = (step - plan.warmup) / max(1, plan.steps)
    return plan.lr * FALLS[plan.schedule](done)


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters of a model that are optimised in their own way.

    Attributes:
        parameters: which require a gradient.
        lr_scale: times the plan's learning rate, at every step.
        weight_decay: in place of the plan's; None is the plan's.
    """

    parameters: Sequence[nn.Parameter]
    lr_scale: float = 1.0
    weight_decay: float | None = None


def parameter_groups(model: nn.Module, plan: Plan, groups: Iterable[ParameterGroup] = ()) -> list[dict[str, Any]]:
    """Groups for `adamw`: those given, then what else of the model requires a gradient, by the plan.

    Raises:
        ValueError: if a parameter is in the groups twice, is frozen, or is none of the model's.
    """
    left = {id(p): p for p in model.parameters() if p.requires_grad}
    names = {id(p): name for name, p in model.named_parameters()}
    found = []
    for group in groups:
        for parameter in group.parameters:
            if left.pop(id(parameter), None) is None:
                name = names.get(id(parameter), f"of shape {tuple(parameter.shape)}")
                why = "is in the groups twice" if parameter.requires_grad else "is frozen"
                raise ValueError(f"parameter {name} {why if id(parameter) in names else 'is none of the model'}")
        found.append((list(group.parameters), group.lr_scale, group.weight_decay))
    found.append((list(left.values()), 1.0, None))
    return [
        {"params": own, "lr": plan.lr, "lr_scale": scale, "weight_decay": plan.weight_decay if decay is None else decay}
        for own, scale, decay in found
        if own
    ]


def adamw(groups: list[dict[str, Any]], plan: Plan) -> torch.optim.AdamW:
    """AdamW on groups of parameters, in one operation a parameter where PyTorch has it."""
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for group in groups for p in group["params"])
    return torch.optim.AdamW(groups, betas=plan.betas, fused=fused)
