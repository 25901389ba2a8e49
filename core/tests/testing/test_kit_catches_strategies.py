"""A broken strategy does not get through the kit; unlabelled samples, fits and classes have files of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import Context, Reading, Strategy, StrategySpec, Stream, UsageError
from xm.learning import EMBEDDING, LinearClassifier, Towers, class_means
from xm.testing import StrategyConformance
from xm.testing.synthetic import ClassMeans


class Random(ClassMeans):
    """Draws from the process's random state."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        return weight + 0.1 * torch.randn_like(weight)


class Seeding(ClassMeans):
    """Sets the process's random state."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        torch.manual_seed(context.seed)
        return weight


class Threads(ClassMeans):
    def weight(self, weight: Tensor, context: Context) -> Tensor:
        torch.set_num_threads(torch.get_num_threads() + 1)
        return weight


class Mirrored(ClassMeans):
    """Class means of the target and its mirror image; nothing is wrong with it."""

    def readings(self, target: str, aux: Sequence[str]) -> Mapping[str, Reading]:
        return {"mirror": Reading(view="flip"), "other": Reading(encoder="other"), "deep": Reading(depth=1)}

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        mirror = context.train[context.target].reading("mirror")
        assert context.reader("other").dim == context.train[context.target].also["other"][EMBEDDING].shape[1]
        return normalize(weight + class_means(mirror, len(context.classes)), dim=1)


class Worded(Mirrored):
    def readings(self, target: str, aux: Sequence[str]) -> Mapping[str, Any]:
        return {"mirror": "flip"}


class Erasing(Mirrored):
    """Overwrites a reading."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        found = super().weight(weight, context)
        context.train[context.target].also["mirror"][EMBEDDING].zero_()
        return found


class Ignorant(ClassMeans):
    """Learns nothing."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        return torch.zeros_like(weight)


class Infinite(ClassMeans):
    def weight(self, weight: Tensor, context: Context) -> Tensor:
        return weight / 0


class InPlace(ClassMeans):
    """Centres the samples where they are."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        x = context.train[context.target].x[EMBEDDING]
        x -= x.mean(dim=0)
        return weight


class OnVal(ClassMeans):
    """Fits labels of val, which it makes up as it goes."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        if context.val is not None and context.val.y is not None:
            context.val.y.zero_()
        return weight


class Batchwise(nn.Module):
    """Centres the items of a batch together."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, stream: Stream) -> Tensor:
        logits: Tensor = self.inner(stream)
        return logits - logits.mean(dim=0)


class Transductive(ClassMeans):
    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        return Batchwise(model)

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        own = {name.removeprefix("inner."): value for name, value in tensors.items()}
        return Batchwise(super().restore(towers, own))


class Forgetful(ClassMeans):
    """Restores other weights."""

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        return LinearClassifier(towers, normalize(tensors["weight"].round(decimals=1), dim=1), tensors["scale"])


class Training(ClassMeans):
    """Leaves the model in training mode."""

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        class Stubborn(LinearClassifier):
            def eval(self) -> Any:
                return self.train()

        yield Stubborn(context.towers, model.weight, model.scale)


class Recording(ClassMeans):
    """Records a tensor."""

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        context.record["ratios"] = (0.1, 0.2)
        return model


class Ruled(ClassMeans):
    predictor = "no such rule"


SUITE = StrategyConformance()
Check = Callable[[StrategySpec], None]


def spec(strategy: type[Strategy]) -> StrategySpec:
    name = strategy.__name__
    return StrategySpec(name=name.lower(), target=f"{__name__}:{name}")


def beats_chance(given: StrategySpec) -> None:
    SUITE.test_beats_chance(given, ("named",), True, 4)


CASES: list[tuple[type[Strategy], Check, str]] = [
    (Worded, lambda given: SUITE.test_readings(given, ()), "no readings"),
    (Erasing, SUITE.test_leaves_its_input_alone, "samples of seen in train were changed"),
    (Random, SUITE.test_deterministic_by_seed, "two models"),
    (Random, SUITE.test_leaves_the_process_alone, "torch's random state"),
    (Seeding, SUITE.test_leaves_the_process_alone, "torch's random state"),
    (Threads, SUITE.test_leaves_the_process_alone, "torch's threads"),
    (Ignorant, beats_chance, "accuracy"),
    (Infinite, beats_chance, "not finite"),
    (InPlace, SUITE.test_leaves_its_input_alone, "samples of seen in train were changed"),
    (OnVal, SUITE.test_leaves_its_input_alone, "val was changed"),
    (Transductive, SUITE.test_items_are_judged_alone, "not close"),
    (Training, SUITE.test_items_are_judged_alone, "evaluation mode"),
    (Recording, lambda given: SUITE.test_record(given, ("named",)), "not plain JSON"),
]


@pytest.mark.parametrize(("strategy", "check", "said"), CASES, ids=lambda part: getattr(part, "__name__", None))
def test_it_is_caught(strategy: type[Strategy], check: Check, said: str) -> None:
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]), pytest.raises(AssertionError, match=said):
            check(spec(strategy))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("strategy", (ClassMeans, Mirrored))
@pytest.mark.parametrize("check", [check for _, check, _ in CASES])
def test_a_sound_one_is_not(check: Check, strategy: type[Strategy]) -> None:
    check(spec(strategy))


def test_one_with_readings_gets_through_the_rest(tmp_path: Path) -> None:
    given = spec(Mirrored)
    SUITE.test_groups(given)
    SUITE.test_stepped(given)
    SUITE.test_unseen_classes(given, ())
    SUITE.test_new_classes(given, tmp_path)


def test_another_model_after_restoring_is_caught(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not close"):
        SUITE.test_restore(spec(Forgetful), ("named",), tmp_path)


def test_a_rule_that_is_not_registered_is_caught() -> None:
    with pytest.raises(UsageError, match="unknown predictor 'no such rule'"):
        SUITE.test_names_a_rule(spec(Ruled))


def test_a_strategy_that_is_not_registered_is_caught() -> None:
    with pytest.raises(AssertionError, match="unknown strategy 'classmeans'"):
        SUITE.test_registered_lazily(spec(ClassMeans))
