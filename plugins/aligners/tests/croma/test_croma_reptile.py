"""Reptile: its update by hand, and going on after an interruption."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from xm.foundation import Event
from xm.learning import Checkpoint
from xm_aligners.croma.reptile import number, reptile, towards


class Two(nn.Module):
    """Two weights."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))
        self.b = nn.Parameter(torch.tensor([b]))


def test_towards_by_hand() -> None:
    meta = Two(1.0, -2.0)
    towards(meta, Two(3.0, -2.0), 0.25)
    assert meta.a.item() == pytest.approx(1.5)
    assert meta.b.item() == -2.0, "what a task left alone must not move"


def test_two_iterations_by_hand() -> None:
    """Gradient descent of rate 0.5 on (a - 4)^2 / 2, two inner steps, epsilon 0.5, from a = 0.

    Two steps take a to 4 - (4 - a) / 4: 0 -> 3, so meta 1.5; then 1.5 -> 3.375, so meta 2.4375.
    """

    def episode(inner: nn.Module, seed: int) -> None:
        assert isinstance(inner, Two)
        for _ in range(2):
            with torch.no_grad():
                inner.a -= 0.5 * (inner.a - 4)

    model = Two(0.0, 7.0)
    reptile(model, {"only": episode}, 2, 0.5)
    assert model.a.item() == pytest.approx(2.4375)
    assert model.b.item() == 7.0


def test_annealed_epsilon_by_hand() -> None:
    """Epsilon 1 of two iterations is 1, then 0.5: with tasks that set a to 2 and then to 4, 0 -> 2 -> 3."""
    goals = iter((2.0, 4.0))

    def episode(inner: nn.Module, seed: int) -> None:
        assert isinstance(inner, Two)
        with torch.no_grad():
            inner.a.fill_(next(goals))

    model = Two(0.0, 0.0)
    reptile(model, {"only": episode}, 2, 1.0, anneal=True)
    assert model.a.item() == pytest.approx(3.0)


def test_draws_depend_on_seed_iteration_and_name() -> None:
    seen: list[int] = []
    reptile(Two(0.0, 0.0), {"x": lambda m, s: seen.append(s), "y": lambda m, s: seen.append(s)}, 3, 1.0, seed=5)
    assert len(set(seen)) == 6
    assert seen == [number(5, i, name) for i in range(3) for name in ("x", "y")]


@pytest.mark.parametrize("stop", (1, 2, 3, 5, 6))
def test_goes_on_after_an_interruption(stop: int, tmp_path: Path) -> None:
    """Killed while iteration `stop` runs, of 7; a checkpoint every 2."""

    def episode(inner: nn.Module, seed: int) -> None:
        assert isinstance(inner, Two)
        with torch.no_grad():
            inner.a += torch.randn((), generator=torch.Generator().manual_seed(seed))

    whole = Two(0.0, 0.0)
    reptile(whole, {"a": episode, "b": episode}, 7, 0.3, anneal=True, seed=2)

    class KilledError(Exception):
        pass

    calls = 0

    def killed(inner: nn.Module, seed: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 2 * stop:
            raise KilledError
        episode(inner, seed)

    checkpoint = Checkpoint(tmp_path / "meta.safetensors", every=2)
    with pytest.raises(KilledError):
        reptile(Two(0.0, 0.0), {"a": killed, "b": killed}, 7, 0.3, anneal=True, seed=2, checkpoint=checkpoint)
    assert checkpoint.path.exists() == (stop >= 2)
    steps: list[Event] = []
    again = Two(0.0, 0.0)
    episodes = {"a": episode, "b": episode}
    reptile(again, episodes, 7, 0.3, anneal=True, seed=2, checkpoint=checkpoint, listener=steps.append)
    assert torch.equal(again.a, whole.a)
    assert len(steps) == 7 - stop // 2 * 2, "it should go on, not start anew"
    assert not checkpoint.path.exists()
