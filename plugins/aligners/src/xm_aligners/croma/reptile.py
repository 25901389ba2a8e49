"""Reptile: meta weights move towards what tasks make of copies of them (Nichol, Achiam and Schulman, 2018)."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import nn

from xm.foundation import Event, Listener, silent
from xm.learning import Checkpoint

Episode: TypeAlias = Callable[[nn.Module, int], None]
"""Draws a task and trains a copy of the meta model on it, in place. The number seeds all it draws."""

DONE = "iterations"


def reptile(
    model: nn.Module,
    episodes: Mapping[str, Episode],
    iterations: int,
    epsilon: float,
    *,
    anneal: bool = False,
    seed: int = 1,
    checkpoint: Checkpoint | None = None,
    listener: Listener = silent,
) -> None:
    """Meta-train `model` in place.

    Args:
        model: holds the meta weights.
        episodes: by name; each iteration runs every one, in order, and moves the meta weights after it.
        iterations: outer ones.
        epsilon: how far to move.
        anneal: whether epsilon falls to zero linearly.
        seed: of all that episodes draw. Draws depend on the seed, the iteration and the episode's name alone.
        checkpoint: kept every so many iterations; a training that was interrupted goes on from it to the same weights.
        listener: hears "step" events.
    """
    start = _resume(model, checkpoint)
    for i in range(start, iterations):
        reach = epsilon * (1 - i / iterations) if anneal else epsilon
        for name, episode in episodes.items():
            inner = copy.deepcopy(model)
            episode(inner, number(seed, i, name))
            towards(model, inner, reach)
        if checkpoint is not None and checkpoint.due(i + 1):
            checkpoint.write(model.state_dict(), {DONE: i + 1})
        listener(Event("step", {"step": i + 1, "steps": iterations}))
    if checkpoint is not None:
        checkpoint.remove()


def towards(meta: nn.Module, inner: nn.Module, epsilon: float) -> None:
    """``meta <- meta + epsilon (inner - meta)``, parameter by parameter."""
    with torch.no_grad():
        for own, other in zip(meta.parameters(), inner.parameters(), strict=True):
            own.add_(other - own, alpha=epsilon)


def number(*parts: object) -> int:
    """A seed from what a draw is for; others draw independently."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def _resume(model: nn.Module, checkpoint: Checkpoint | None) -> int:
    """Put back what was kept, if anything; how many iterations that took."""
    kept = None if checkpoint is None else checkpoint.read()
    if kept is None:
        return 0
    tensors, values = kept
    model.load_state_dict(tensors)
    return int(values[DONE])
