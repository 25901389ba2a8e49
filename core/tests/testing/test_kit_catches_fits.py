"""A strategy whose groups, steps or towers are broken does not get through the kit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xm import Context, Plan, Strategy, StrategySpec
from xm.learning import LinearClassifier, ParameterGroup, Towers
from xm.testing import StrategyConformance
from xm.testing.synthetic import ClassMeans


class Trained(ClassMeans):
    """The loop trains the weights; nothing is wrong with it either."""

    def build(self, context: Context) -> nn.Module:
        model = super().build(context)
        model.register_buffer("average", torch.zeros(()))
        return model.requires_grad_()

    def plan(self, context: Context) -> Plan:
        return Plan(shares=context.shares(), steps=10, seed=context.seed)

    def groups(self, model: nn.Module) -> Sequence[ParameterGroup] | None:
        return [ParameterGroup(list(model.parameters()), lr_scale=0.1)]

    def stepped(self, model: nn.Module, step: int) -> None:
        average = model.get_buffer("average")
        average += (model.get_parameter("weight").mean() - average) / (step + 1)


class Twice(Trained):
    """Names a parameter in two groups."""

    def groups(self, model: nn.Module) -> Sequence[ParameterGroup] | None:
        return [ParameterGroup(list(model.parameters())), ParameterGroup([model.get_parameter("weight")])]


class Frozen(ClassMeans):
    """Names a frozen parameter."""

    def groups(self, model: nn.Module) -> Sequence[ParameterGroup] | None:
        return [ParameterGroup(list(model.parameters()))]


class Foreign(Trained):
    """Names a parameter that the model does not have."""

    def groups(self, model: nn.Module) -> Sequence[ParameterGroup] | None:
        return [ParameterGroup([nn.Parameter(torch.zeros(3))])]


class Noisy(Trained):
    """Draws after each step."""

    def stepped(self, model: nn.Module, step: int) -> None:
        torch.rand(())


class Remembering(Trained):
    """Averages over what it remembers itself, of whichever model it was."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(config)
        self.steps = 0

    def stepped(self, model: nn.Module, step: int) -> None:
        self.steps += 1
        model.get_buffer("average").add_(self.steps)


class Layered(ClassMeans):
    """Puts a layer behind an opened tower's, and does not say what other trainings would make of it."""

    def depths(self, target: str, aux: Sequence[str], namer: str | None) -> Mapping[str, int]:
        return {target: 1}

    def build(self, context: Context) -> nn.Module:
        return self.made(deepcopy(context.towers), torch.eye(5, context.dim))

    def made(self, towers: Towers, weight: Tensor) -> nn.Module:
        tower = towers["seen"]
        tower.map = nn.Sequential(tower.map, nn.Linear(16, 16, bias=False))
        return LinearClassifier(towers, weight)

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        yield model

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        model = self.made(towers, tensors["weight"])
        model.load_state_dict(dict(tensors), strict=False)
        return model


class Withholding(Layered):
    """Says that it left towers as they were."""

    def tuned(self, towers: Towers, tensors: Mapping[str, Tensor]) -> Mapping[str, Mapping[str, Tensor]]:
        return {}


SUITE = StrategyConformance()
Check = Callable[[StrategySpec], None]


def spec(strategy: type[Strategy]) -> StrategySpec:
    name = strategy.__name__
    return StrategySpec(name=name.lower(), target=f"{__name__}:{name}")


CASES: list[tuple[type[Strategy], Check, str]] = [
    (Twice, SUITE.test_groups, "weight is in the groups twice"),
    (Frozen, SUITE.test_groups, "a group has weight, which is frozen"),
    (Foreign, SUITE.test_groups, "of no model"),
    (Noisy, SUITE.test_stepped, "torch's random state"),
    (Remembering, SUITE.test_stepped, "the strategy remembers another one"),
]


@pytest.mark.parametrize(("strategy", "check", "said"), CASES, ids=lambda part: getattr(part, "__name__", None))
def test_it_is_caught(strategy: type[Strategy], check: Check, said: str) -> None:
    with torch.random.fork_rng(devices=[]), pytest.raises(AssertionError, match=said):
        check(spec(strategy))


@pytest.mark.parametrize("strategy", (ClassMeans, Trained))
@pytest.mark.parametrize("check", dict.fromkeys(check for _, check, _ in CASES))
def test_a_sound_one_is_not(check: Check, strategy: type[Strategy]) -> None:
    check(spec(strategy))


@pytest.mark.parametrize(
    "check",
    [
        SUITE.test_deterministic_by_seed,
        SUITE.test_leaves_the_process_alone,
        SUITE.test_leaves_its_input_alone,
        SUITE.test_items_are_judged_alone,
        lambda given: SUITE.test_beats_chance(given, ("named",), True, 4),
        lambda given: SUITE.test_record(given, ("named",)),
        lambda given: SUITE.test_readings(given, ()),
        lambda given: SUITE.test_unseen_classes(given, ()),
    ],
)
def test_one_that_the_loop_trains_gets_through_the_rest(check: Check) -> None:
    check(spec(Trained))


@pytest.mark.parametrize(
    ("strategy", "said"), [(Layered, "does not fit a new tower's tail"), (Withholding, "the seen tower is another")]
)
def test_towers_that_nobody_can_start_from_are_caught(strategy: type[Strategy], said: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=said):
        SUITE.test_goes_on_from_a_run(spec(strategy), tmp_path)
