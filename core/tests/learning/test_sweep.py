"""Many heads at once are what the loop makes of each alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import Plan, Stream
from xm.encoders.encoder import Tail
from xm.foundation.events import Event
from xm.learning.context import Context
from xm.learning.loop import FitResult
from xm.learning.model import EMBEDDING, LinearClassifier, Tower, Towers
from xm.learning.probe import LinearProbe
from xm.learning.schedule import ParameterGroup
from xm.learning.strategy import Strategy
from xm.learning.sweep import fit_heads

CLASSES, DIM, SCALE = 5, 16, 30.0


def stream(modality: str, per_class: int, seed: int, *, weighted: bool = False) -> Stream:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(CLASSES).repeat(per_class)
    x = torch.eye(DIM)[y] + 0.7 * torch.randn(len(y), DIM, generator=generator)
    weight = torch.rand(len(y), generator=generator) + 0.5 if weighted else None
    return Stream(modality, {EMBEDDING: normalize(x, dim=1)}, y, weight)


def context(weighted: bool = False, val: bool = True) -> Context:
    return Context(
        classes=tuple("abcde"),
        target="image",
        dim=DIM,
        train={"image": stream("image", 4, 1, weighted=weighted), "text": stream("text", 2, 2)},
        val=stream("image", 6, 3) if val else None,
        named=frozenset({"text"}),
        towers=Towers({"image": Tower(Tail()), "text": Tower(Tail())}),
    )


PLANS = [
    Plan(shares={"image": 0.5, "text": 0.5}, steps=60, batch_size=size, lr=lr, weight_decay=decay, eval_every=5)
    for lr in (1e-2, 1e-3)
    for size in (4, 8)
    for decay in (0.0, 0.1)
]


def alone(here: Context, start: Tensor, plan: Plan) -> tuple[Tensor, FitResult]:
    model = LinearClassifier(here.towers, start, SCALE)
    result = here.fit(model, Strategy(), plan)
    return model.weight.detach(), result


@pytest.mark.parametrize("weighted", (False, True))
@pytest.mark.parametrize("patience", (None, 2))
@pytest.mark.parametrize("val", (True, False))
def test_each_head_is_what_the_loop_makes_of_it_alone(weighted: bool, patience: int | None, val: bool) -> None:
    here = context(weighted, val)
    start = torch.randn(CLASSES, DIM, generator=torch.Generator().manual_seed(4)) / 4
    plans = [replace(plan, patience=patience) for plan in PLANS]
    found = fit_heads(start, SCALE, here.train, plans, here.val)
    for plan, (weight, result) in zip(plans, found, strict=True):
        expected, by_loop = alone(here, start, plan)
        torch.testing.assert_close(weight, expected, atol=1e-5, rtol=1e-5)
        assert (result.steps if val else plan.steps, result.best_step) == (by_loop.steps, by_loop.best_step)
        torch.testing.assert_close(torch.tensor(result.history), torch.tensor(by_loop.history))


@pytest.mark.parametrize("patience", (None, 2))
def test_so_it_is_with_other_betas_and_schedule_and_the_last_weights(patience: int | None) -> None:
    here, start = context(), torch.zeros(CLASSES, DIM)
    more: dict[str, Any] = {"betas": (0.5, 0.9), "schedule": "constant", "keep": "last", "patience": patience}
    plans = [replace(plan, **more) for plan in PLANS[:2]]
    stopped = set()
    for plan, (weight, result) in zip(plans, fit_heads(start, SCALE, here.train, plans, here.val), strict=True):
        expected, by_loop = alone(here, start, plan)
        torch.testing.assert_close(weight, expected, atol=1e-5, rtol=1e-5)
        assert (result.steps, result.best_step) == (by_loop.steps, by_loop.best_step)
        stopped.add(result.steps < plan.steps)
    assert stopped == {patience is not None}


def test_the_start_is_left_alone_and_heads_are_their_own() -> None:
    here, start = context(), torch.zeros(CLASSES, DIM)
    found = [weight for weight, _ in fit_heads(start, SCALE, here.train, PLANS[:2], here.val)]
    assert bool((start == 0).all()) and not torch.equal(*found)


def test_events_are_those_of_a_loop_with_an_eval_for_each_head() -> None:
    here, events = context(), list[Event]()
    fit_heads(
        torch.zeros(CLASSES, DIM), SCALE, here.train, [replace(p, steps=11) for p in PLANS[:2]], here.val, events.append
    )
    assert [(e.kind, e.data["step"]) for e in events] == [
        (kind, step) for step in (0, 5, 10) for kind in ("step", "eval", "eval")
    ]


def test_a_loss_of_one_s_own_goes_to_the_loop_and_so_do_groups_and_what_follows_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("not the default loss")

    class Halved(LinearProbe):
        def loss(self, model: nn.Module, batch: Mapping[str, Stream]) -> Mapping[str, Tensor]:
            return {"loss": super().loss(model, batch)["loss"] / 2}

    class Grouped(LinearProbe):
        def groups(self, model: nn.Module) -> list[ParameterGroup]:
            return [ParameterGroup(list(model.parameters()), lr_scale=0.5)]

    class Stepping(LinearProbe):
        def stepped(self, model: nn.Module, step: int) -> None:
            model.get_buffer("scale").mul_(0.9)

    monkeypatch.setattr("xm.learning.probe.fit_heads", never)
    settings = {"solver": "adamw", "steps": 3, "lr": [1e-2], "weight_decay": [0.0], "batch_size": [4]}
    here = context()
    for own in (Halved(settings), Grouped(settings), Stepping(settings)):
        (model,) = own.solve(own.build(here), here)
        assert isinstance(model, LinearClassifier)
    with pytest.raises(AssertionError, match="default loss"):
        list(LinearProbe(settings).solve(LinearProbe(settings).build(here), here))
