"""A strategy that does not use unlabelled samples as it should does not get through the kit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from xm import Context, Strategy, StrategySpec
from xm.learning import EMBEDDING, LinearClassifier, class_means
from xm.testing import StrategyConformance


class Learner(Strategy):
    """Class means of the names and of the unlabelled samples that are most like them."""

    def build(self, context: Context) -> nn.Module:
        names = class_means(context.names, len(context.classes))
        x = context.unlabelled[context.target].x[EMBEDDING]
        near = (x @ names.T).topk(5, dim=0).indices
        return LinearClassifier(context.towers, normalize(x[near].mean(dim=0), dim=1), 10.0, trainable=False)


class Ordered(Strategy):
    """Takes unlabelled samples for sorted by class."""

    def build(self, context: Context) -> nn.Module:
        x = context.unlabelled[context.target].x[EMBEDDING]
        means = torch.stack([part.mean(dim=0) for part in x.chunk(len(context.classes))])
        return LinearClassifier(context.towers, normalize(means, dim=1), 10.0, trainable=False)


class Centring(Learner):
    """Centres the unlabelled samples where they are."""

    def build(self, context: Context) -> nn.Module:
        x = context.unlabelled[context.target].x[EMBEDDING]
        x -= x.mean(dim=0)
        return super().build(context)


SUITE = StrategyConformance()
Check = Callable[[StrategySpec], None]


def spec(strategy: type[Strategy]) -> StrategySpec:
    name = strategy.__name__
    return StrategySpec(name=name.lower(), target=f"{__name__}:{name}", needs_unlabelled=True)


CASES: list[tuple[type[Strategy], Check, str]] = [
    (Ordered, SUITE.test_without_labels, "held-out samples are right"),
    (Ordered, SUITE.test_unlabelled_samples_in_any_order, "decisions are others"),
    (Centring, SUITE.test_leaves_its_input_alone, "unlabelled seen were changed"),
]


@pytest.mark.parametrize(("strategy", "check", "said"), CASES, ids=lambda part: getattr(part, "__name__", None))
def test_it_is_caught(strategy: type[Strategy], check: Check, said: str) -> None:
    with torch.random.fork_rng(devices=[]), pytest.raises(AssertionError, match=said):
        check(spec(strategy))


@pytest.mark.parametrize("check", [check for _, check, _ in CASES])
def test_a_sound_one_is_not(check: Check) -> None:
    check(spec(Learner))
