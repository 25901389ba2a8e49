"""The strategies `coop`, `cocoop` and `prograd`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch

from xm import Context, StrategySpec, UsageError
from xm.learning import LinearClassifier, adapt, among_seen, own_tensors
from xm.plugins import manager
from xm.testing import StrategyConformance, synthetic
from xm_prompts.coop import CoOp


class TestCoOp(StrategyConformance):
    settings: ClassVar[Mapping[str, Any]] = {"n_ctx": 4, "steps": 10}

    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("coop")


class TestClassSpecificCoOp(TestCoOp):
    settings: ClassVar[Mapping[str, Any]] = {"init": "a photo of a", "csc": True, "position": "middle", "steps": 10}


class TestAveragedCoOp(TestCoOp):
    settings: ClassVar[Mapping[str, Any]] = {"n_ctx": 4, "steps": 10, "average": 0.9, "keep": "last"}


class TestCoCoOp(StrategyConformance):
    settings: ClassVar[Mapping[str, Any]] = {"steps": 6, "chunk": 16}

    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("cocoop")


class TestProGrad(StrategyConformance):
    settings: ClassVar[Mapping[str, Any]] = {"n_ctx": 6, "steps": 10}

    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("prograd")


def context(strategy: CoOp, **more: Any) -> Context:
    """A task with names, whose prompts can be learned."""
    return synthetic.context(("named",), depths=strategy.depths("seen", ("named",), "named"), **more)


@pytest.mark.parametrize("csc", [False, True])
def test_unseen_classes_are_no_wrong_answers(csc: bool) -> None:
    """The context is that of a task of the seen classes alone; an unseen class's own is as it was."""
    strategy = CoOp({"init": "a photo of a", "steps": 5, "csc": csc})
    seen = torch.tensor([0, 2, 3])
    whole = adapt(strategy, replace(context(strategy), seen=seen)).get_buffer("ctx")
    alone = adapt(strategy, among_seen(replace(context(strategy), seen=seen))).get_buffer("ctx")
    start = adapt(CoOp({"init": "a photo of a", "steps": 0, "csc": csc}), context(strategy)).get_buffer("ctx")
    torch.testing.assert_close(whole[seen] if csc else whole, alone)
    assert not torch.allclose(alone, start[seen] if csc else start)
    assert not csc or torch.equal(whole[[1, 4]], start[[1, 4]])


@pytest.mark.parametrize("csc", [False, True])
def test_the_average_is_of_seen_classes_too(csc: bool) -> None:
    settings = {"init": "a photo of a", "steps": 5, "csc": csc, "average": 0.5, "keep": "last"}
    seen, strategy = torch.tensor([0, 2, 3]), CoOp(settings)
    whole = adapt(strategy, replace(context(strategy), seen=seen)).get_buffer("ctx")
    alone = adapt(strategy, among_seen(replace(context(strategy), seen=seen))).get_buffer("ctx")
    torch.testing.assert_close(whole[seen] if csc else whole, alone)


def test_new_classes_are_read_with_the_vectors_of_the_rows() -> None:
    """With an average these are not the last ones."""
    strategy = CoOp({"n_ctx": 4, "steps": 9, "lr": 0.05, "average": 0.3, "keep": "last"})
    model = adapt(strategy, context(strategy))
    assert isinstance(model, LinearClassifier)
    less = LinearClassifier(model.towers, model.weight[:3], model.scale).keeping(ctx=model.get_buffer("ctx"))
    again = strategy.reclass(less, replace(context(strategy), train={}, val=None))
    assert isinstance(again, LinearClassifier)
    torch.testing.assert_close(again.weight, model.weight)
    assert again.kept == ["ctx"], "and another class may be taken in behind these"


def test_a_run_of_before_takes_in_no_class() -> None:
    strategy = CoOp({"n_ctx": 4, "steps": 1})
    model, ways = adapt(strategy, context(strategy)), synthetic.towers({"named": -1})
    tensors = {name: value for name, value in own_tensors(model).items() if name != "ctx"}
    restored = strategy.restore(ways, tensors)
    with pytest.raises(UsageError, match=r"keeps no context vectors.*train again with this xm"):
        strategy.reclass(restored, replace(context(strategy), train={}, val=None))
