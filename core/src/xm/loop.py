"""The loop: the only place where parameters take gradient steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from xm.device import autocast, seeded
from xm.events import Event, Listener, silent
from xm.sampler import batch_counts, batches
from xm.stream import Batch, Stream

Loss: TypeAlias = Callable[[nn.Module, Batch], Mapping[str, Tensor]]
Backward: TypeAlias = Callable[[nn.Module, Mapping[str, Tensor]], None]


@dataclass(frozen=True)
class Plan:
    """How `fit` goes about it. The defaults are the published ones (Lin et al., CVPR 2023, appendix).

    Attributes:
        shares: of each stream in a batch, summing to 1.
        steps: at most; 0 trains nothing.
        batch_size: over all streams.
        lr: AdamW's peak learning rate.
        weight_decay: AdamW's.
        warmup: steps of linear warm-up, before the cosine to zero.
        warmup_lr: of the very first step.
        eval_every: steps between scores.
        patience: scores without a new best before stopping; None never stops early.
        precision: "float32", "bfloat16" or "float16".
        seed: of the batches.
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


@dataclass
class FitResult:
    """What `fit` did.

    Attributes:
        steps: taken.
        best_step: whose parameters the model now holds, counted from 0; -1 if nothing was scored.
        best_score: at that step; NaN if nothing was scored.
        history: (step, score) of every evaluation.
    """

    steps: int = 0
    best_step: int = -1
    best_score: float = math.nan
    history: list[tuple[int, float]] = field(default_factory=list)

    def note(self, step: int, score: float) -> bool:
        """Keep a score; whether it is a new best. Of equal ones the first is the best."""
        better = not self.history or score > self.best_score
        self.history.append((step, score))
        if better:
            self.best_step, self.best_score = step, score
        return better

    def stale(self, plan: Plan) -> bool:
        """Whether the best score is as old as the plan's patience."""
        if plan.patience is None or not self.history:
            return False
        return (self.history[-1][0] - self.best_step) // plan.eval_every >= plan.patience


def learning_rate(plan: Plan, step: int) -> float:
    """The learning rate of a step, counted from 0.

    The published schedule: `warmup_lr` at step 0, then linear to the peak, then a cosine that would reach zero
    `steps` steps after the end of the warm-up.
    """
    if step < plan.warmup:
        return plan.warmup_lr if step == 0 else plan.lr * step / plan.warmup
    done = (step - plan.warmup) / max(1, plan.steps)
    return plan.lr * 0.5 * (1 + math.cos(math.pi * done))


def adamw(groups: list[dict[str, Any]]) -> torch.optim.AdamW:
    """AdamW on groups of parameters, in one operation a parameter where PyTorch has it."""
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for group in groups for p in group["params"])
    return torch.optim.AdamW(groups, fused=fused)


def add_up(model: nn.Module, losses: Mapping[str, Tensor]) -> None:
    """The default `backward`: gradients of the sum of all losses."""
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]


def fit(
    model: nn.Module,
    loss: Loss,
    streams: Mapping[str, Stream],
    plan: Plan,
    *,
    backward: Backward = add_up,
    score: Callable[[], float] | None = None,
    on_event: Listener = silent,
) -> FitResult:
    """Optimise whatever of `model` requires a gradient, and leave it at its best score.

    A model with no such parameter takes no step. Dropout draws by the plan's seed. The function is re-entrant: it keeps
    no state of its own, and leaves PyTorch's random state as it was.

    Args:
        model: changed in place.
        loss: of a batch; named terms.
        streams: what batches are drawn from, by the plan's shares.
        plan: the schedule.
        backward: writes the gradients.
        score: of the model as it stands, higher is better; asked at step 0 and every `plan.eval_every` steps after. Of
            equal scores the first is kept.
        on_event: hears "step" and "eval" events.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    result = FitResult()
    if not parameters or plan.steps == 0:
        return result
    device = parameters[0].device
    optimiser = adamw([{"params": parameters, "lr": plan.lr, "weight_decay": plan.weight_decay}])
    generator = torch.Generator().manual_seed(plan.seed)
    source = batches(streams, batch_counts(plan.shares, plan.batch_size), generator)
    best: dict[str, Tensor] = {}
    with seeded(plan.seed, device):
        for step in range(plan.steps):
            batch = {name: stream.to(device) for name, stream in next(source).items()}
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(plan, step)
            model.train()
            with autocast(device, plan.precision):
                losses = loss(model, batch)
            optimiser.zero_grad()
            backward(model, losses)
            optimiser.step()
            result.steps = step + 1
            if step % plan.eval_every:
                continue
            on_event(Event("step", {"step": step, "steps": plan.steps}))
            if score is None:
                continue
            model.eval()
            value = score()
            on_event(Event("eval", {"step": step, "score": value}))
            if result.note(step, value):
                best = {name: value.detach().clone() for name, value in changing(model).items()}
            elif result.stale(plan):
                break
    if best:
        model.load_state_dict(best, strict=False)
    model.eval()
    return result


def changing(model: nn.Module) -> dict[str, Tensor]:
    """The part of a model's state that training changes: parameters with a gradient, and buffers."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in model.state_dict().items() if name not in frozen}
