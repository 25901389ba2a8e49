"""Many linear heads at once, each with a learning rate and a weight decay of its own, on the same batches.

The heads of a sweep differ in nothing else, so a step of them all is one product forwards and one back. Each becomes
what `xm.fit` makes of it alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, islice
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from xm.foundation.events import Event, Listener, silent
from xm.learning.loop import FitResult
from xm.learning.model import EMBEDDING
from xm.learning.sampler import batch_counts, batch_rows
from xm.learning.schedule import Plan, adamw, learning_rate
from xm.learning.stream import Stream

AHEAD = 20
"""Batches that are gathered at once."""

EXTRA = 16
"""Zeros behind every row: rows a power of two apart, as CLIP's are, crowd each other out of the processor's cache."""

Found: TypeAlias = tuple[Tensor, FitResult]
"""A head's weights (classes, dim), and how it was fitted."""


def fit_heads(
    start: Tensor,
    scale: float | Tensor,
    streams: Mapping[str, Stream],
    plans: Sequence[Plan],
    val: Stream | None,
    on_event: Listener = silent,
) -> list[Found]:
    """AdamW on the mean cross-entropy of each batch: of each plan the best weights on val, else, or if asked, the last.

    Plans that differ in nothing but `lr` and `weight_decay` take their steps together; one group after the other, as
    Python's lock makes two at once slower. PyTorch's threads share the products, which pays where cores are free.

    Args:
        start: (classes, dim), of every head.
        scale: of the logits ``scale * x @ weight.T``.
        streams: labelled embeddings (n, dim).
        plans: of each head.
        val: what heads are scored on, by accuracy.
        on_event: hears a "step" event of each group and an "eval" of each head, whenever there is a look at val.
    """
    groups: dict[str, list[int]] = {}
    for index, plan in enumerate(plans):
        groups.setdefault(repr(replace(plan, lr=0.0, weight_decay=0.0)), []).append(index)

    found = dict[int, Found]()
    for members in groups.values():
        together = [plans[index] for index in members]
        ones = _fit_together(start, scale, streams, together, val, on_event)
        found |= zip(members, ones, strict=True)
    return [found[index] for index in range(len(plans))]


def _fit_together(
    start: Tensor,
    scale: float | Tensor,
    streams: Mapping[str, Stream],
    plans: Sequence[Plan],
    val: Stream | None,
    on_event: Listener,
) -> list[Found]:
    plan, count = plans[0], len(plans)
    heads = pad(start.detach(), (0, EXTRA)).repeat(count, 1, 1)
    gradients, best = torch.empty_like(heads), heads.clone()
    flat, flat_gradients = heads.flatten(0, 1), gradients.flatten(0, 1)
    optimiser = adamw([_group(*one) for one in zip(heads, gradients, plans, strict=True)], plan)
    results = [FitResult() for _ in plans]
    for step, (x, y, weight) in enumerate(islice(_samples(streams, plan, start.device), plan.steps)):
        residual = torch.mm(flat, x.T).mul_(scale).view(count, -1, len(x)).softmax(dim=1)
        residual[:, y, torch.arange(len(y), device=y.device)] -= 1
        torch.mm(residual.mul_(scale * weight).flatten(0, 1), x, out=flat_gradients)
        for group, one in zip(optimiser.param_groups, plans, strict=True):
            group["lr"] = learning_rate(one, step)
        optimiser.step()
        running = [result for result in results if not result.stale(plan)]
        for result in running:
            result.steps = step + 1
        if step % plan.eval_every:
            continue
        on_event(Event("step", {"step": step, "steps": plan.steps}))
        if val is None:
            continue
        for result, head, kept, score in zip(results, heads, best, _accuracies(heads[..., :-EXTRA], val), strict=True):
            if result in running and (result.note(step, score) or plan.keep == "last"):
                kept.copy_(head)
            on_event(Event("eval", {"step": step, "score": score}))
        if all(result.stale(plan) for result in results):
            break
    for result, head, kept in zip(results, heads, best, strict=True):
        if val is None or (plan.keep == "last" and not result.stale(plan)):
            kept.copy_(head)
    return list(zip(best[..., :-EXTRA], results, strict=True))


def _group(head: Tensor, gradient: Tensor, plan: Plan) -> dict[str, object]:
    """A parameter group of AdamW, on the memory of `head` and of `gradient`."""
    parameter = nn.Parameter(head)
    parameter.grad = gradient
    return {"params": [parameter], "lr": plan.lr, "weight_decay": plan.weight_decay}


def _samples(
    streams: Mapping[str, Stream], plan: Plan, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless batches as x (n, dim + EXTRA), y (n,), and weights (n,) that sum to 1."""
    counts = batch_counts(plan.shares, plan.batch_size)
    parts = [streams[name].to(device) for name in counts]
    x = pad(torch.cat([part.x[EMBEDDING] for part in parts]), (0, EXTRA))
    y = torch.cat([part.labels for part in parts])
    weight = torch.cat([part.counts.to(x) for part in parts])
    first = dict(zip(counts, accumulate((len(part) for part in parts), initial=0), strict=False))
    drawn = batch_rows(streams, counts, torch.Generator().manual_seed(plan.seed))
    while True:  # some batches at a time, as gathering takes longer to begin than to do
        block = [torch.cat([some + first[name] for name, some in rows.items()]) for rows in islice(drawn, AHEAD)]
        rows = torch.stack(block).to(device)
        own = weight[rows]
        yield from zip(x[rows], y[rows], own / own.sum(dim=1, keepdim=True), strict=True)


def _accuracies(heads: Tensor, val: Stream) -> list[float]:
    """Of each head on val, 0..1."""
    logits = heads @ val.x[EMBEDDING].to(heads.device).T
    hits: list[float] = (logits.argmax(dim=1) == val.labels.to(heads.device)).float().mean(dim=1).tolist()
    return hits
