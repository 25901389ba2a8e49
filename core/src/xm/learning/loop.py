"""The loop: the only place where parameters take gradient steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn

from xm.foundation.device import autocast, random_state, seeded, set_random_state
from xm.foundation.events import Event, Listener, silent
from xm.learning.checkpoint import Checkpoint
from xm.learning.objectives import Objective, told
from xm.learning.sampler import batch_counts, batches
from xm.learning.schedule import ParameterGroup, Plan as Plan, adamw, learning_rate as learning_rate, parameter_groups
from xm.learning.stream import Batch, Stream
from xm.plugins.sound import sound_losses

Loss: TypeAlias = Callable[[nn.Module, Batch], Mapping[str, Tensor]]
Backward: TypeAlias = Callable[[nn.Module, Mapping[str, Tensor]], None]
Stepped: TypeAlias = Callable[[nn.Module, int], None]


@dataclass
class FitResult:
    """What `fit` did.

    Attributes:
        steps: taken.
        best_step: with the best score, counted from 0; -1 if nothing was scored. The model now holds its parameters,
            unless the plan keeps the last.
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
    stepped: Stepped | None = None,
    groups: Sequence[ParameterGroup] | None = None,
    objective: Objective | None = None,
    score: Callable[[], float] | None = None,
    on_event: Listener = silent,
    checkpoint: Checkpoint | None = None,
) -> FitResult:
    """Optimise whatever of `model` requires a gradient, and leave it at its best score, or as the plan says.

    A model with no such parameter takes no step. Dropout draws by the plan's seed. The function is re-entrant: it keeps
    no state of its own, and leaves PyTorch's random state as it was.

    Args:
        model: changed in place.
        loss: of a batch; named terms.
        streams: what batches are drawn from, by the plan's shares.
        plan: the schedule.
        backward: writes the gradients. A parameter whose gradient it leaves at None stays as it is in this step.
        stepped: is called after each step, without gradients, with the model and the step, counted from 0. The
            buffers that it changes are scored, kept and restored with the parameters.
        groups: of parameters with a learning rate or weight decay of their own; the others have the plan's.
        objective: that the loss calls. A `StepObjective` is told the step before each loss.
        score: of the model as it stands, higher is better; asked at step 0 and every `plan.eval_every` steps after. Of
            equal scores the first is kept.
        on_event: hears "step" and "eval" events.
        checkpoint: where to keep how far it came. If it holds something, the fit goes on from there, to the same
            weights as without the interruption; at the end it is removed.

    Raises:
        ValueError: if a parameter is in the groups twice, is frozen, or is none of the model's.
        PluginError: if the loss gives no scalars.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    result = FitResult()
    if not parameters or plan.steps == 0:
        return result
    device = parameters[0].device
    optimiser = adamw(parameter_groups(model, plan, groups or ()), plan)
    generator = torch.Generator().manual_seed(plan.seed)
    counts = batch_counts(plan.shares, plan.batch_size)
    best: dict[str, Tensor] = {}
    with seeded(plan.seed, device), told(objective, plan.steps) as tell:
        if checkpoint is not None:
            best = _resume(checkpoint, model, optimiser, result, device)
        source = batches(streams, counts, generator, start=result.steps)
        for step in range(result.steps, plan.steps):
            batch = {name: stream.to(device) for name, stream in next(source).items()}
            for group in optimiser.param_groups:
                group["lr"] = group["lr_scale"] * learning_rate(plan, step)
            model.train()
            tell(step)
            with autocast(device, plan.precision):
                losses = sound_losses(loss, loss(model, batch))
            optimiser.zero_grad()
            backward(model, losses)
            optimiser.step()
            if stepped is not None:
                with torch.no_grad():
                    stepped(model, step)
            result.steps = step + 1
            if step % plan.eval_every == 0:
                on_event(Event("step", {"step": step, "steps": plan.steps}))
                if score is not None:
                    model.eval()
                    value = score()
                    on_event(Event("eval", {"step": step, "score": value}))
                    if not result.note(step, value):
                        if result.stale(plan):
                            break
                    elif plan.keep == "best":
                        best = {name: value.detach().clone() for name, value in changing(model).items()}
            if checkpoint is not None and checkpoint.due(result.steps):
                _save(checkpoint, model, optimiser, result, best, device)
    if best:
        model.load_state_dict(best, strict=False)
    if checkpoint is not None:
        checkpoint.remove()
    model.eval()
    return result


def changing(model: nn.Module) -> dict[str, Tensor]:
    """The part of a model's state that training changes: parameters with a gradient, and buffers."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in model.state_dict().items() if name not in frozen}


MODEL, BEST, OPTIMISER, RANDOM = "model.", "best.", "optimiser.", "random"
"""Prefixes and names of a checkpoint's tensors."""


def _save(
    checkpoint: Checkpoint,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    result: FitResult,
    best: Mapping[str, Tensor],
    device: torch.device,
) -> None:
    """Keep the model, the optimiser's moments, PyTorch's random state, and the scores so far."""
    moments = optimiser.state_dict()["state"]
    tensors = {
        **{MODEL + name: value for name, value in changing(model).items()},
        **{BEST + name: value for name, value in best.items()},
        **{f"{OPTIMISER}{i}.{name}": value for i, own in moments.items() for name, value in own.items()},
        RANDOM: random_state(device),
    }
    checkpoint.write(tensors, asdict(result))


def _resume(
    checkpoint: Checkpoint,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    result: FitResult,
    device: torch.device,
) -> dict[str, Tensor]:
    """Put back what `_save` kept, if anything; returns the best parameters so far."""
    kept = checkpoint.read()
    if kept is None:
        return {}
    tensors, values = kept
    result.steps, result.best_step, result.best_score = values["steps"], values["best_step"], values["best_score"]
    result.history = [(step, score) for step, score in values["history"]]

    def part(prefix: str) -> dict[str, Tensor]:
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        return {name: value.to(device) for name, value in own.items()}

    model.load_state_dict(part(MODEL), strict=False)
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in part(OPTIMISER).items():
        i, _, name = key.partition(".")
        if value.shape == (own := parameters[int(i)]).shape:  # fused steps want the parameter's order in memory
            value = torch.empty_like(own, requires_grad=False).copy_(value)
        moments.setdefault(int(i), {})[name] = value
    state = optimiser.state_dict()
    optimiser.load_state_dict({**state, "state": moments})
    set_random_state(tensors[RANDOM], device)
    return part(BEST)
