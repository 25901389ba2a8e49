"""Objectives that know the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from xm import Context, ObjectiveSpec, Plan, StepObjective, Strategy, Stream, UsageError, fit
from xm.encoders.encoder import Tail
from xm.learning.model import EMBEDDING, LinearClassifier, Tower, Towers
from xm.learning.objectives import Objective, cross_entropy, find_objective
from xm.learning.strategy import adapt
from xm.learning.stream import Batch
from xm.plugins import Config
from xm.plugins.plugin_manager import PluginManager

STEPS = 12


class FadingConfig(Config):
    floor: float = 0.0


class Fading(StepObjective):
    """Cross-entropy that counts less from step to step, and notes when it was asked."""

    config_type: ClassVar[type[Config]] = FadingConfig

    def __init__(self, config: Mapping[str, Any] | Config | None = None) -> None:
        super().__init__(config)
        self.asked: list[tuple[int, int]] = []

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        self.asked.append((self.step, self.steps))
        return max(1 - self.progress, self.config.floor) * cross_entropy(logits, labels, weights)


def stream() -> Stream:
    return Stream("image", {EMBEDDING: torch.eye(3)}, torch.arange(3))


class Trained(Strategy):
    def build(self, context: Context) -> nn.Module:
        return LinearClassifier(context.towers, torch.zeros(3, 3), 1.0)

    def plan(self, context: Context) -> Plan:
        return Plan(shares=context.shares(), steps=STEPS, lr=0.1, warmup=0, eval_every=5)


def context(objective: Objective, **more: Any) -> Context:
    return Context(
        classes=("a", "b", "c"),
        target="image",
        dim=3,
        train={"image": stream()},
        val=stream(),
        named=frozenset(),
        towers=Towers({"image": Tower(Tail())}),
        objective=objective,
        **more,
    )


def test_each_fit_tells_its_steps_and_leaves_none() -> None:
    objective = Fading()
    assert objective.progress == 1
    for _ in range(2):
        adapt(Trained(), context(objective))
        assert objective.asked == [(step, STEPS) for step in range(STEPS)]
        assert (objective.step, objective.steps, objective.progress) == (0, 0, 1)
        objective.asked.clear()


def test_a_plain_function_hears_nothing() -> None:
    model, other = (adapt(Trained(), context(objective)) for objective in (cross_entropy, cross_entropy))
    assert torch.equal(model.weight, other.weight)


def test_a_fit_within_a_loss_does_not_disturb_the_outer_one() -> None:
    objective = Fading()

    class Nested(Trained):
        def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
            inner = LinearClassifier(Towers({"image": Tower(Tail())}), torch.zeros(3, 3), 1.0)
            own = Trained()
            own.objective = objective
            fit(inner, own.loss, batch, Plan({"image": 1.0}, steps=2), objective=objective)
            return super().loss(model, batch)

    adapt(Nested(), context(objective))
    assert objective.asked == [told for step in range(STEPS) for told in ((0, 2), (1, 2), (step, STEPS))]


def test_it_is_as_before_after_an_error() -> None:
    objective = Fading()

    def failing(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        raise RuntimeError(f"at {objective.step} of {objective.steps}")

    with pytest.raises(RuntimeError, match="at 0 of 4"):
        fit(nn.Linear(3, 3), failing, {"image": stream()}, Plan({"image": 1.0}, steps=4), objective=objective)
    assert (objective.step, objective.steps) == (0, 0)


@pytest.fixture
def known(plugins: PluginManager) -> PluginManager:
    for name, target in (("fading", f"{__name__}:Fading"), ("plain", "xm.learning:cross_entropy")):
        plugins.objectives[name] = ObjectiveSpec(name=name, target=target)
    return plugins


def test_it_is_made_anew_with_its_settings(known: PluginManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectiveSpec, "load", lambda self: Fading if self.name == "fading" else cross_entropy)
    one, other = find_objective("fading", known), find_objective("fading", known, {"floor": 0.5})
    assert isinstance(one, Fading) and isinstance(other, Fading) and one is not other
    assert (one.config.floor, other.config.floor) == (0, 0.5)
    assert find_objective("plain", known) is cross_entropy
    with pytest.raises(UsageError, match=r"Fading: unknown setting 'flor' \(did you mean 'floor'\?\)"):
        find_objective("fading", known, {"flor": 1})
    with pytest.raises(UsageError, match="objective 'plain' has no settings; 'floor' is not one"):
        find_objective("plain", known, {"floor": 1})
