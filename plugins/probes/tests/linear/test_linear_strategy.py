"""The strategy `linear`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch

from xm import Context, StrategySpec, Stream, UsageError
from xm.encoders import Tail
from xm.learning import EMBEDDING, PULLS, LinearClassifier, LinearProbe, Tower, Towers, adapt, class_means
from xm.plugins import manager
from xm.testing import StrategyConformance


@pytest.fixture
def spec() -> StrategySpec:
    return manager().strategies.find("linear")


class TestConformance(StrategyConformance):
    @pytest.fixture
    def spec(self, spec: StrategySpec) -> StrategySpec:
        return spec


class TestConformanceOfTheSweep(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {
        "solver": "adamw",
        "steps": 80,
        "lr": [1e-2],
        "weight_decay": [0.01],
        "eval_every": 20,
    }


def context(**more: Any) -> Context:
    """Two classes in the plane: images of each near its axis, and a text on it."""
    image = torch.nn.functional.normalize(torch.tensor([[3.0, 1.0], [2.0, 1.0], [1.0, 3.0], [1.0, 2.0]]), dim=1)
    train = {
        "image": Stream("image", {EMBEDDING: image}, torch.tensor([0, 0, 1, 1])),
        "text": Stream("text", {EMBEDDING: torch.eye(2)}, torch.tensor([0, 1])),
    }
    given: dict[str, Any] = {"named": frozenset({"text"}), "train": train, "val": None}
    given |= more
    ways = Towers({"image": Tower(Tail()), "text": Tower(Tail())})
    return Context(classes=("a", "b"), target="image", dim=2, towers=ways, **given)


def test_it_starts_at_the_names_where_they_are_trained_on() -> None:
    probe = LinearProbe()
    assert probe.init_name(context()) == "text"
    torch.testing.assert_close(probe.start(context()), torch.eye(2))
    assert probe.init_name(context(named=frozenset())) == "random"


@pytest.mark.parametrize("init", ("zero", "image", "random"))
def test_the_start_can_be_chosen(init: str) -> None:
    probe, here = LinearProbe({"init": init}), context()
    start = probe.start(here)
    if init == "image":
        torch.testing.assert_close(start, class_means(here.train["image"], 2))
    else:
        assert bool((start == 0).all()) == (init == "zero")
        assert start.abs().max() <= 2**-0.5


def test_a_start_that_is_not_there_is_refused_in_a_line() -> None:
    with pytest.raises(
        UsageError, match=r"init='audio': no such samples here \(known: auto, image, random, text, zero"
    ):
        adapt(LinearProbe({"init": "audio"}), context())


def test_the_convex_optimum_does_not_depend_on_the_start() -> None:
    found = []
    for init in ("zero", "random", "text"):
        model = adapt(LinearProbe({"init": init, "pull": "zero", "max_iter": 500}), context())
        assert isinstance(model, LinearClassifier)
        found.append(model.weight)
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found[0], found[2], atol=1e-4, rtol=1e-3)


def test_a_strong_pull_to_the_names_keeps_them() -> None:
    model = adapt(LinearProbe({"pull": "init", "default_penalty": 1e6}), context())
    assert isinstance(model, LinearClassifier)
    torch.testing.assert_close(model.weight, torch.eye(2), atol=1e-5, rtol=0)


def test_the_share_decides_between_modalities() -> None:
    """Names that are swapped win when they have most of the objective, and lose when they have little of it."""
    here = context()
    swapped = {**here.train, "text": Stream("text", {EMBEDDING: torch.eye(2)}, torch.tensor([1, 0]))}
    for share, label in ((0.95, 1), (0.05, 0)):
        model = adapt(LinearProbe({"share": share}), context(train=swapped))
        assert int(model(here.train["text"]).argmax(dim=1)[0]) == label


@pytest.mark.parametrize("solver", ({}, {"solver": "adamw", "steps": 400, "lr": [0.1], "batch_size": [4]}))
def test_the_weight_of_a_modality_decides_too(solver: dict[str, Any]) -> None:
    here = context()
    swapped = {**here.train, "text": Stream("text", {EMBEDDING: torch.eye(2)}, torch.tensor([1, 0]))}
    for weight, label in ((20.0, 1), (0.05, 0)):
        model = adapt(LinearProbe({"weights": {"text": weight}, "init": "zero"} | solver), context(train=swapped))
        assert int(model(here.train["text"]).argmax(dim=1)[0]) == label


def test_a_weight_of_the_objective_is_a_share() -> None:
    """By hand: half and half with weight 3 for text is three quarters of text."""
    weighted = adapt(LinearProbe({"weights": {"text": 3.0}}), context())
    shared = adapt(LinearProbe({"share": {"text": 0.75}}), context())
    torch.testing.assert_close(weighted.state_dict()["weight"], shared.state_dict()["weight"], atol=1e-4, rtol=1e-4)


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="share"):
        LinearProbe({"share": {"text": 1.0}})


def test_a_sample_of_weight_2_counts_as_two() -> None:
    here = context()
    image = here.train["image"]
    rows = torch.tensor([0, 0, 1, 2, 3])
    weighted = Stream("image", image.x, image.y, torch.tensor([2.0, 1, 1, 1]))
    models = [adapt(LinearProbe(), context(train={"image": stream})) for stream in (image[rows], weighted)]
    torch.testing.assert_close(models[0].weight, models[1].weight, atol=1e-5, rtol=1e-4)


def test_another_objective_needs_the_loop() -> None:
    def flat(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        return logits.square().mean()

    with pytest.raises(UsageError, match="solver=adamw"):
        adapt(LinearProbe(), context(objective=flat))
    model = adapt(LinearProbe({"solver": "adamw", "steps": 200, "lr": [0.1]}), context(objective=flat))
    assert model.weight.abs().max() < 0.1


def test_names_that_do_not_fit_pull_nothing() -> None:
    """Names that are swapped: their likeliest scale is near 1, so a third of 100 is too much, on val too."""
    here = context()
    swapped = {**here.train, "text": Stream("text", {EMBEDDING: torch.eye(2).flip(0)}, torch.tensor([0, 1]))}
    here = context(train=swapped, val=here.train["image"])
    adapt(LinearProbe(), here)
    assert here.record["pull"] == "zero"


@pytest.mark.parametrize("pull", ("zero", "third", "init"))
def test_a_pull_is_as_strong_as_its_penalty(pull: str) -> None:
    """Under a huge penalty the weights are what they are pulled to."""
    here = context(val=context().train["image"])
    model = adapt(LinearProbe({"pull": pull, "penalties": [1e6]}), here)
    torch.testing.assert_close(model.state_dict()["weight"], PULLS[pull] * torch.eye(2), atol=1e-4, rtol=0)


def test_val_takes_the_mean_of_all_that_are_best_there() -> None:
    """Each pull and penalty by itself, and the names; one of val's three images lies nearer to the other class."""
    x = torch.nn.functional.normalize(torch.tensor([[3.0, 1.0], [1.0, 1.02], [1.0, 2.0]]), dim=1)
    here = context(val=Stream("image", {EMBEDDING: x}, torch.tensor([0, 0, 1])))
    single = [
        adapt(LinearProbe({"pull": pull, "penalties": [penalty], "tolerance": 0}), here)
        for pull in PULLS
        for penalty in LinearProbe().config.penalties
    ]
    heads = [*single, LinearClassifier(here.towers, torch.eye(2))]
    accuracies = [here.accuracy(head) for head in heads]
    best = [head.state_dict()["weight"] for head, a in zip(heads, accuracies, strict=True) if a == max(accuracies)]
    assert 1 < len(best) <= len(heads)
    model = adapt(LinearProbe({"tolerance": 0}), here)
    torch.testing.assert_close(model.state_dict()["weight"], torch.stack(best).mean(dim=0), atol=1e-3, rtol=1e-3)
    assert here.record["heads"] == len(best)


@pytest.mark.parametrize(("names", "pull"), [(torch.eye(2), ["zero", "third"]), (torch.eye(2).flip(0), "zero")])
def test_with_no_val_it_trusts_names_that_fit_the_samples(names: torch.Tensor, pull: object) -> None:
    here = context()
    train = {**here.train, "text": Stream("text", {EMBEDDING: names}, torch.tensor([0, 1]))}
    here = context(train=train)
    model = adapt(LinearProbe(), here)
    single = [adapt(LinearProbe({"pull": name}), context(train=train)) for name in ("zero", "third")]
    kept = single if isinstance(pull, list) else single[:1]
    mean = torch.stack([one.state_dict()["weight"] for one in kept]).mean(dim=0)
    torch.testing.assert_close(model.state_dict()["weight"], mean, atol=1e-5, rtol=0)
    assert here.record["pull"] == pull


def test_what_val_chose_is_recorded() -> None:
    val = context().train["image"]
    here = context(val=val)
    adapt(LinearProbe(), here)
    penalties, pulls = here.record["penalty"], here.record["pull"]
    assert isinstance(penalties, list) and set(penalties) <= set(LinearProbe().config.penalties)
    assert pulls == [*PULLS, "names"]
    here = context(val=val)
    adapt(LinearProbe({"solver": "adamw", "steps": 5, "lr": [1e-2], "weight_decay": [0.01]}), here)
    assert (here.record["lr"], here.record["weight_decay"], here.record["step"]) == (1e-2, 0.01, 0)
