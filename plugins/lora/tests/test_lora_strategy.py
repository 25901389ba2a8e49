"""The strategy `lora`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from xm import StrategySpec, UsageError
from xm.learning import LinearClassifier, adapt, class_means, learning_rate
from xm.plugins import manager
from xm.testing import StrategyConformance, synthetic
from xm_lora.classifier import PromptClassifier
from xm_lora.strategy import Lora

QUICK: dict[str, Any] = {"modules": ["layer"], "steps_per_shot": 20, "lr": 1e-2}


class TestConformance(StrategyConformance):
    settings: ClassVar[Mapping[str, Any]] = QUICK

    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("lora")


class TestConformanceOfFixedNames(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = QUICK | {"names_depth": 0, "depth": 1, "keep": "val", "eval_every": 10}


def context(strategy: Lora, aux: tuple[str, ...] = (), **more: Any) -> Any:
    return synthetic.context(aux, depths=strategy.depths("seen", aux, "named"), **more)


@pytest.mark.parametrize(
    ("settings", "namer", "depths"),
    [
        ({}, "text", {"image": -1, "text": -1}),
        ({"names_depth": 0}, "text", {"image": -1}),
        ({"depth": 0, "names_depth": 3}, "text", {"text": 3}),
        ({"depth": 2}, None, {"image": 2}),
        ({"depth": 2}, "image", {"image": 2}),
    ],
)
def test_what_is_opened(settings: dict[str, int], namer: str | None, depths: dict[str, int]) -> None:
    assert Lora(settings).depths("image", ("text", "audio"), namer) == depths


def test_the_defaults_are_the_published_ones() -> None:
    config = Lora().config
    assert (config.rank, config.alpha, config.dropout, config.rslora) == (2, 1, 0.25, True)
    assert config.modules[:3] == ("q_proj", "k_proj", "v_proj") and config.template == "a photo of a {}."
    assert (config.lr, config.weight_decay, config.batch_size, config.scale) == (2e-4, 0.01, 32, 100)


@pytest.mark.parametrize("shots", (1, 4))
def test_500_steps_a_shot_along_a_cosine(shots: int) -> None:
    strategy = Lora()
    plan = strategy.plan(context(strategy, shots=shots))
    assert plan.steps == 500 * shots and plan.shares == {"seen": 1.0}
    halves = [learning_rate(plan, step) for step in (0, plan.steps // 2, plan.steps)]
    assert halves == pytest.approx([2e-4, 1e-4, 0], abs=1e-12)


def test_rows_are_what_the_opened_tower_makes_of_the_prompts() -> None:
    strategy = Lora(QUICK | {"template": "x {}"})
    here = context(strategy)
    model = strategy.build(here)
    assert isinstance(model, PromptClassifier)
    expected = here.towers["named"](synthetic.read_texts([f"x {name}" for name in synthetic.CLASSES], -1).x)
    torch.testing.assert_close(model.eval().rows(), expected)
    assert strategy.init_name(here) == "named"


def test_rows_of_an_encoder_that_is_not_opened_stay() -> None:
    strategy = Lora(QUICK | {"names_depth": 0})
    here = context(strategy)
    model = adapt(strategy, here)
    assert isinstance(model, LinearClassifier)
    torch.testing.assert_close(model.weight.detach(), class_means(here.texts, 5))


@pytest.mark.parametrize("settings", ({}, {"names_depth": 0}))
def test_class_names_are_needed(settings: dict[str, int]) -> None:
    strategy = Lora(QUICK | settings)
    here = replace(context(strategy), read_names=lambda: None, read_texts=None)
    with pytest.raises(UsageError, match=r"--text-encoder NAME") as caught:
        adapt(strategy, here)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"depth": 0, "names_depth": 0}, "depth=0 and names_depth=0 leave nothing to train"),
        ({"template": "a photo"}, "template='a photo'"),
        ({"template": "{} and {}"}, "template="),
        ({"rank": 0}, "rank=0"),
        ({"keep": "best"}, "keep='best'"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        Lora(settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("keep", "looks"), (("last", False), ("val", True)))
def test_val_is_looked_at_only_if_asked(keep: str, looks: bool) -> None:
    strategy = Lora(QUICK | {"keep": keep, "eval_every": 5})
    here = context(strategy)
    adapt(strategy, here)
    assert here.record["steps"] == 80 and here.record["trained"] == 2 * 2 * 2 * 16
    assert ("step" in here.record) == looks


def test_rows_are_computed_once_a_step() -> None:
    strategy = Lora(QUICK | {"steps_per_shot": 1})
    here = context(strategy, ("named", "heard"), shots=1)
    model = strategy.build(here)
    assert isinstance(model, PromptClassifier)
    calls = []
    rows = model.rows
    model.rows = lambda: calls.append(1) or rows()  # type: ignore[method-assign, func-returns-value]
    here.fit(model, strategy, replace(strategy.plan(replace(here)), steps=3, eval_every=10))
    assert len(calls) == 3 + 1, "once in each of three steps, and at the first look at val"


def test_another_model_is_refused() -> None:
    with pytest.raises(TypeError, match="can't train a Linear"):
        Lora().finish(nn.Linear(2, 2), context(Lora()))
