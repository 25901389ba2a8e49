"""A broken objective of classifiers does not get through the kit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from xm import ObjectiveSpec, StepObjective
from xm.learning.objectives import cross_entropy
from xm.plugins.plugin_manager import manager
from xm.testing import ObjectiveConformance


class TestCrossEntropy(ObjectiveConformance):
    @pytest.fixture
    def spec(self) -> ObjectiveSpec:
        return manager().objectives.find("cross-entropy")


def of(weighted: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The weighted mean of what a function says of each sample."""

    def objective(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        losses = weighted(logits, labels)
        return losses.mean() if weights is None else (losses * weights).sum() / weights.sum()

    return objective


sound = of(lambda logits, labels: torch.nn.functional.cross_entropy(logits, labels, reduction="none"))
by_hand = of(lambda logits, labels: logits.exp().sum(dim=1).log() - logits.gather(1, labels[:, None])[:, 0])
constant = of(lambda logits, labels: 0 * logits.sum(dim=1))
against = of(lambda logits, labels: logits.gather(1, labels[:, None])[:, 0])
by_rank = of(lambda logits, labels: torch.arange(len(labels)) * logits.square().sum(dim=1))


def a_vector(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def detached(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    return cross_entropy(logits, labels, weights).detach()


def summed(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    return losses.mean() if weights is None else (losses * weights).mean()


def unweighted(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    return cross_entropy(logits, labels)


def halved(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    return cross_entropy(logits, labels, weights) / (1 if weights is None else 2)


def in_place(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    if weights is not None:
        weights /= weights.sum()
    return cross_entropy(logits, labels, weights)


def drawing(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    return cross_entropy(logits + 0.1 * torch.randn_like(logits), labels, weights)


class NoStep:
    """A class that is no `StepObjective`."""

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        return cross_entropy(logits, labels, weights)


class Silent(StepObjective):
    """Ends with no loss at all."""

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        return (1 - self.progress) * cross_entropy(logits, labels, weights)


class Dividing(StepObjective):
    """Divides by the step."""

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        return cross_entropy(logits, labels, weights) * (1 / torch.tensor(float(self.step)))


class Counting(StepObjective):
    """Counts for itself, and so each loss is another one."""

    calls = 0

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        self.calls += 1
        return cross_entropy(logits, labels, weights) * self.calls


class Rising(StepObjective):
    """Nothing is wrong with it."""

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        return (1 + self.progress) * cross_entropy(logits, labels, weights)


SUITE = ObjectiveConformance()
Check = Callable[[ObjectiveSpec], None]


def spec(name: str, **more: Any) -> ObjectiveSpec:
    return ObjectiveSpec(name=name, target=f"{__name__}:{name}", **more)


def loss(given: ObjectiveSpec) -> None:
    SUITE.test_loss(given, 32, 7)


def large(given: ObjectiveSpec) -> None:
    SUITE.test_large_logits(given, False, 1e4)


CASES: list[tuple[str, Check, str]] = [
    ("a_vector", loss, "it must be a scalar"),
    ("detached", loss, "no graph"),
    ("constant", loss, "no gradient flows"),
    ("by_hand", large, "the loss is inf"),
    ("summed", SUITE.test_weights, "twice the weights"),
    ("unweighted", SUITE.test_weights, "samples of weight 0"),
    ("halved", SUITE.test_no_weights_are_ones, "weights of one"),
    ("by_rank", SUITE.test_order_of_rows, "rows in another order"),
    ("against", SUITE.test_prefers_the_label, "the loss of right decisions"),
    ("in_place", SUITE.test_leaves_all_alone, "weights were changed"),
    ("drawing", SUITE.test_leaves_all_alone, "torch's random state"),
    ("against", SUITE.test_fit, "the classifier knows"),
    ("NoStep", SUITE.test_settings, "no xm.StepObjective"),
    ("Silent", loss, "no gradient flows"),
    ("Dividing", loss, "the loss is inf"),
    ("Counting", SUITE.test_leaves_all_alone, "the second loss is another one"),
]


@pytest.mark.parametrize(("name", "check", "said"), CASES, ids=[f"{name}-{check.__name__}" for name, check, _ in CASES])
def test_it_is_caught(name: str, check: Check, said: str) -> None:
    with torch.random.fork_rng(devices=[]), pytest.raises(AssertionError, match=said):
        check(spec(name))


@pytest.mark.parametrize("name", ("sound", "Rising"))
@pytest.mark.parametrize("check", dict.fromkeys(check for _, check, _ in CASES), ids=lambda check: check.__name__)
def test_a_sound_one_is_not(name: str, check: Check) -> None:
    check(spec(name))


def test_one_of_pairs_and_one_that_is_not_registered_are_caught() -> None:
    with pytest.raises(AssertionError, match="pairs=True"):
        SUITE.test_settings(spec("sound", pairs=True))
    with pytest.raises(AssertionError, match="unknown objective 'sound'"):
        SUITE.test_registered_lazily(spec("sound"))
