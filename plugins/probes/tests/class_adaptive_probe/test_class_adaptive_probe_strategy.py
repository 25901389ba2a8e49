"""The strategy `class-adaptive-probe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Context, StrategySpec, Stream, UsageError
from xm.encoders import Tail
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers, adapt, class_means
from xm.plugins import manager
from xm.testing import StrategyConformance
from xm_probes.class_adaptive_probe.probe import PinnedProbe, zero_shot_multipliers
from xm_probes.class_adaptive_probe.strategy import ClassAdaptiveProbe

CLASSES = ("a", "b", "c")
SOLVERS: tuple[dict[str, Any], ...] = ({}, {"solver": "adamw", "epochs": 30, "lr": 0.01})


class TestConformance(StrategyConformance):
    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("class-adaptive-probe")


class TestConformanceOfTheLoop(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {"solver": "adamw", "epochs": 20, "batch_size": 8, "scale": 20}


def stream(modality: str, per_class: int, seed: int, noise: float = 0.4) -> Stream:
    y = torch.arange(3).repeat(per_class)
    x = torch.eye(8)[y] + noise * torch.randn(len(y), 8, generator=torch.Generator().manual_seed(seed))
    return Stream(modality, {EMBEDDING: normalize(x, dim=1)}, y)


def context(aux: bool = True, **more: Any) -> Context:
    text = stream("text", 2, 1)
    train = {"image": stream("image", 4, 2), **({"text": text} if aux else {})}
    given: dict[str, Any] = {"val": stream("image", 6, 3), "read_names": lambda: text, "train": train} | more
    named = frozenset({"text"} if aux else ())
    towers = Towers({name: Tower(Tail()) for name in given["train"]})
    return Context(classes=CLASSES, target="image", dim=8, named=named, towers=towers, **given)


def weights(here: Context, **settings: Any) -> Tensor:
    model = adapt(ClassAdaptiveProbe(settings), here)
    assert type(model) is LinearClassifier
    return model.weight.detach()


def test_multipliers_by_hand() -> None:
    """Two samples of the first class, one of the second, none of the third, which has the mean of the others."""
    prototypes = torch.eye(3)
    x = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    e = torch.tensor(2.0).exp()
    right, wrong = e / (e + 2), 1 / (e + 2)
    found = zero_shot_multipliers(prototypes, Stream("image", {EMBEDDING: x}, torch.tensor([0, 0, 1])), 2.0)
    first = (right + wrong) / 2
    torch.testing.assert_close(found, torch.stack([first, right, (first + right) / 2]))


def test_kinds_of_multipliers() -> None:
    def recorded(**settings: Any) -> Any:
        here = context()
        weights(here, max_iter=0, **settings)
        return here.record["multipliers"]

    own = recorded()
    assert len(set(own)) == 3 and all(0 < value < 1 for value in own)
    assert recorded(multipliers="mean") == pytest.approx([sum(own) / 3] * 3, abs=1e-5)
    assert recorded(multipliers="one") == [1, 1, 1]
    assert recorded(multipliers="none") == [0, 0, 0]
    assert recorded(penalty=7) == own, "the penalty's factor comes on top"


def test_only_the_target_makes_multipliers() -> None:
    """Names would be classified by themselves without a fault."""
    alone, together = context(aux=False), context()
    weights(alone, max_iter=0), weights(together, max_iter=0)
    assert alone.record == together.record


@pytest.mark.parametrize("solver", SOLVERS, ids=("lbfgs", "adamw"))
def test_val_changes_nothing(solver: dict[str, Any]) -> None:
    one = weights(context(), **solver)
    for val in (None, stream("image", 6, 9, noise=3.0)):
        assert torch.equal(weights(context(val=val), **solver), one)


@pytest.mark.parametrize("solver", SOLVERS, ids=("lbfgs", "adamw"))
def test_auxiliary_samples_are_learned_from(solver: dict[str, Any]) -> None:
    train = {"image": stream("image", 4, 2), "audio": stream("audio", 4, 7)}
    alone, together = weights(context(aux=False), **solver), weights(context(train=train), **solver)
    assert not torch.allclose(alone, together, atol=1e-3)


@pytest.mark.parametrize("solver", SOLVERS, ids=("lbfgs", "adamw"))
def test_a_stronger_penalty_stays_nearer_to_zero_shot(solver: dict[str, Any]) -> None:
    names = class_means(stream("text", 2, 1), 3)
    torch.testing.assert_close(weights(context(), epochs=0, max_iter=0), names)
    away = [float((weights(context(), penalty=penalty, **solver) - names).norm()) for penalty in (0, 3, 30, 1e4)]
    assert all(weak > 1.1 * strong for weak, strong in pairwise(away)), away
    assert away[3] < 0.02, away


def test_a_class_is_held_by_its_own_multiplier() -> None:
    """Of two classes that start equally wrong, the one that is held moves less."""
    towers, names = Towers({"image": Tower(Tail())}), normalize(torch.ones(3, 8) + torch.eye(3, 8), dim=1)
    model = PinnedProbe(towers, names, torch.tensor([1.0, 0.0, 0.5]), 10.0)
    with torch.no_grad():
        model.weight.add_(0.5)
    penalty = model.penalty(model.weight)
    torch.testing.assert_close(penalty, torch.tensor((1.0 + 0.0 + 0.5) * 8 * 0.25 / 3))
    penalty.backward()  # type: ignore[no-untyped-call]
    assert model.weight.grad is not None
    torch.testing.assert_close(model.weight.grad[:, 0], torch.tensor([1.0, 0.0, 0.5]) / 3)


def test_it_ends_as_the_linear_classifier_it_was_trained_as() -> None:
    towers = Towers({"image": Tower(Tail())})
    model = PinnedProbe(towers, torch.randn(3, 8, generator=torch.Generator().manual_seed(1)), torch.ones(3), 30.0)
    held_out = stream("image", 4, 5)
    torch.testing.assert_close(model.plain()(held_out), model(held_out))
    assert not any(parameter.requires_grad for parameter in model.plain().parameters())


def test_the_scale_is_fitted_or_given_and_recorded() -> None:
    fitted, given = context(), context()
    weights(fitted, max_iter=0), weights(given, max_iter=0, scale=100)
    assert float(str(fitted.record["scale"])) > 0 and given.record["scale"] == 100
    assert fitted.record["scale"] != 100


@pytest.mark.parametrize(("samples", "batches"), ((4, 1), (9, 3), (12, 4)))
def test_schedule(samples: int, batches: int) -> None:
    """Epochs of whole batches of the target; a pool smaller than a batch is one."""
    train = {"image": stream("image", samples, 2)}
    plan = ClassAdaptiveProbe({"epochs": 7, "batch_size": 9}).plan(context(train=train))
    assert (plan.steps, plan.warmup, plan.weight_decay) == (7 * batches, batches, 0)
    shares = ClassAdaptiveProbe({"share": 0.25}).plan(context()).shares
    assert shares == {"image": 0.75, "text": 0.25}


def test_a_share_weighs_streams_and_a_weight_samples() -> None:
    """With lbfgs a sample that weighs twice is as good as two."""
    pictures, names = stream("image", 4, 2), stream("text", 2, 1)
    once, twice = torch.arange(12), torch.cat([torch.arange(12), torch.tensor([5])])
    heavy = replace(pictures, weight=torch.where(once == 5, 2.0, 1.0))
    tight = {"scale": 10, "multipliers": "one", "tolerance": 1e-5}
    torch.testing.assert_close(
        weights(context(train={"image": heavy, "text": names}), **tight),
        weights(context(train={"image": pictures[twice], "text": names}), **tight),
        atol=1e-3,
        rtol=1e-3,
    )
    mostly_names = weights(context(), share=0.99, **tight)
    assert not torch.allclose(weights(context(), **tight), mostly_names, atol=1e-2)


def test_the_initialisation_is_the_names_even_alone() -> None:
    assert ClassAdaptiveProbe().init_name(context(aux=False)) == "text"


def test_without_names_it_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="class names are needed: choose an encoder that reads them"):
        adapt(ClassAdaptiveProbe(), replace(context(), read_names=lambda: None))


@pytest.mark.parametrize("given", ({"multipliers": "own"}, {"scale": 0}, {"scale": "val"}, {"penalty": -1}))
def test_wrong_settings_are_named(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"ClassAdaptiveProbe: {next(iter(given))}"):
        ClassAdaptiveProbe(given)


def test_both_solvers_come_to_the_same_minimum() -> None:
    """Early on the loop is elsewhere; in the end, and with no sample left out of a batch, it is not."""
    settings = {"scale": 10, "multipliers": "one", "penalty": 3}
    ours = weights(context(aux=False), tolerance=1e-5, **settings)
    loop = weights(context(aux=False), solver="adamw", epochs=3000, **settings)
    torch.testing.assert_close(ours, loop, atol=1e-3, rtol=1e-3)
