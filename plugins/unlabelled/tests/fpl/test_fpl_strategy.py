"""The strategy `fpl`."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from xm import Context, StrategySpec, Stream, UsageError
from xm.learning import LinearClassifier, Plan, Strategy, adapt, class_means, make_strategy
from xm.plugins import manager
from xm.testing import StrategyConformance, installed, synthetic
from xm_unlabelled.fpl.strategy import FewPseudoLabels

CLASSES = len(synthetic.CLASSES)


class Means(Strategy):
    """Class means of the target's samples, so that the tests need no other package. Keeps its context."""

    def build(self, context: Context) -> nn.Module:
        self.seen = context
        samples = context.towers.embedded(context.train[context.target])
        return LinearClassifier(context.towers, class_means(samples, len(context.classes)), trainable=False)


class NeedsVal(Means):
    needs_val = True


class OpensTheTarget(Means):
    def depths(self, target: str, aux: Sequence[str], namer: str | None) -> Mapping[str, int]:
        return {target: 1}

    def plan(self, context: Context) -> Plan:
        return replace(super().plan(context), steps=5, warmup=0)

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        return super().solve(copy.deepcopy(model), context)


def fpl(inner: Strategy, **settings: Any) -> FewPseudoLabels:
    made = FewPseudoLabels(settings)
    made.hold(inner)
    return made


class TestConformance(StrategyConformance):
    def make(self, spec: StrategySpec) -> Strategy:
        return fpl(Means(), **self.settings)

    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("fpl")


class TestConformanceAroundLinear(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {"own": True, "inner_set": {"pull": "zero", "penalties": [0.1, 0.001]}}

    def make(self, spec: StrategySpec) -> Strategy:
        installed("linear")
        return make_strategy(spec, self.settings, manager())


class TestConformanceOfAnOpenedEncoder(TestConformance):
    def make(self, spec: StrategySpec) -> Strategy:
        return fpl(OpensTheTarget(), **self.settings)


def context(**more: Any) -> Context:
    return synthetic.context(synthetic.AUXILIARY[:1], **{"unlabelled": True, **more})


def learned(strategy: FewPseudoLabels, here: Context) -> Stream:
    """What the strategy inside learned from, of the target."""
    adapt(strategy, here)
    assert isinstance(strategy.inner, Means)
    return strategy.inner.seen.train[here.target]


def test_labels_come_first_and_pseudo_labels_join_them() -> None:
    here = context(shots=2)
    found = learned(fpl(Means(), k=3), here)
    assert len(found) == 5 * (2 + 3)
    assert torch.equal(found.labels[:10], here.train[here.target].labels)
    assert found.labels[10:].tolist() == [y for y in range(5) for _ in range(3)]
    assert here.record["k"] == 3 and here.record["pseudo_labels"] == [3] * 5


def test_at_most_half_the_mean_class_size() -> None:
    for each, k in ((12, 6), (40, 8), (1, 1)):
        here = context()
        items = synthetic.towers().embed(replace(synthetic.trunk_outputs(synthetic.TARGET, each, draw=6), y=None))
        adapt(fpl(Means()), replace(here, unlabelled={synthetic.TARGET: items}, record=here.record))
        assert here.record["k"] == k


def test_without_labels_pseudo_labels_are_all() -> None:
    here = context(target=False, val=False)
    strategy = fpl(Means(), k=4)
    found = learned(strategy, here)
    assert len(found) == 20 and found.weight is None
    assert list(strategy.inner.seen.train) == [synthetic.TARGET, synthetic.NAMES], "the target comes first"  # type: ignore[attr-defined]
    assert here.target not in here.train


def test_val_is_left_alone() -> None:
    here, strategy = context(), fpl(Means())
    adapt(strategy, here)
    assert strategy.inner.seen.val is here.val  # type: ignore[attr-defined]


def test_without_an_auxiliary_modality_the_own_samples_label() -> None:
    here = synthetic.context((), unlabelled=True)
    assert len(learned(fpl(Means(), k=2), here)) == 5 * (4 + 2)


def test_an_opened_encoder_gets_trunk_outputs() -> None:
    here = context(depths={synthetic.TARGET: 1})
    found = learned(fpl(OpensTheTarget(), k=2), here)
    assert "features" in found.x and len(found) == 5 * (4 + 2)


def test_what_belongs_together_stays_known() -> None:
    here = context(shots=1)
    target, items = here.train[here.target], here.unlabelled[here.target]
    groups, readings = torch.arange(len(items)), {"again": items.x}
    more = {here.target: replace(items, pair=None, group=groups, origin=None, also=readings)}
    own = replace(target, pair=torch.arange(5), group=None, origin=None, also={"again": target.x})
    mine = {**here.train, here.target: own}
    found = learned(fpl(Means(), k=1), replace(here, train=mine, unlabelled=more))
    assert found.pair is not None and found.pair.tolist() == [0, 1, 2, 3, 4] + [-1] * 5
    assert found.group is not None and found.group.tolist()[:5] == [-1] * 5 and len(found.group) == 10
    torch.testing.assert_close(found.also["again"], found.x)
    assert found.origin is None


def test_what_the_inner_strategy_needs_is_told() -> None:
    with pytest.raises(UsageError, match="fpl: strategy 'linear' needs val, and here is none: take 0 out of --shots"):
        adapt(fpl(NeedsVal()), context(target=False, val=False))
    with pytest.raises(UsageError, match="there are no unlabelled seen items to learn from"):
        adapt(fpl(Means()), context(unlabelled=False))
    with pytest.raises(UsageError, match="name an auxiliary modality"):
        adapt(fpl(Means()), synthetic.context((), target=False, unlabelled=True))


@pytest.mark.parametrize("given", ({"k": 0}, {"own": "maybe"}, {"lam": 0}, {"gamma": -1}, {"inner_set": 3}))
def test_wrong_settings_are_named(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"FewPseudoLabels: {next(iter(given))}"):
        FewPseudoLabels(given)
