"""The strategy `clip-adapter`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from xm import Context, StrategySpec, Stream, UsageError
from xm.encoders import Tail
from xm.learning import EMBEDDING, Tower, Towers, adapt, class_means, own_tensors
from xm.plugins import manager
from xm.testing import StrategyConformance
from xm_adapters.clip_adapter.model import AdapterClassifier, random_bottleneck
from xm_adapters.clip_adapter.strategy import ClipAdapter

QUICK = {"steps": 40, "lr": [1e-3], "eval_every": 20}


class TestConformance(StrategyConformance):
    settings: ClassVar[Mapping[str, Any]] = QUICK

    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("clip-adapter")


class TestConformanceOfTheSearch(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {**QUICK, "ratio": "val", "ratios": [0.2, 0.8], "steps": 30}


class TestConformanceOfATrainedHead(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {**QUICK, "head": "trained", "init": ["zero"]}


def stream(modality: str, per_class: int, seed: int, noise: float = 0.4) -> Stream:
    y = torch.arange(3).repeat(per_class)
    x = torch.eye(8)[y] + noise * torch.randn(len(y), 8, generator=torch.Generator().manual_seed(seed))
    return Stream(modality, {EMBEDDING: normalize(x, dim=1)}, y)


def context(aux: tuple[str, ...] = (), **more: Any) -> Context:
    train = {"image": stream("image", 4, 2), **{name: stream(name, 2, len(name)) for name in aux}}
    text = stream("text", 2, 1)
    given: dict[str, Any] = {"val": stream("image", 6, 3), "read_names": lambda: text, "train": train} | more
    towers = Towers({name: Tower(Tail()) for name in ("image", "text", "audio")})
    return Context(
        classes=tuple("abc"), target="image", dim=8, named=frozenset({"text"} & set(aux)), towers=towers, **given
    )


def fitted(here: Context, **settings: Any) -> AdapterClassifier:
    model = adapt(ClipAdapter({**QUICK, **settings}), here)
    assert isinstance(model, AdapterClassifier)
    return model


def by_hand(**more: Any) -> AdapterClassifier:
    """Two features, one hidden unit: the bottleneck of (x, y) is (max(0, x - y), 0)."""
    down, up, weight = torch.tensor([[1.0, -1.0]]), torch.tensor([[1.0], [-1.0]]), torch.eye(2)
    given: dict[str, Any] = {"ratio": 0.25, "scale": 10.0, "unit": False} | more
    return AdapterClassifier(Towers({"image": Tower(Tail())}), down, up, weight, **given)


def test_by_hand() -> None:
    """0.25 * (0.2, 0) + 0.75 * (0.8, 0.6), ten times; where the hidden unit is off, 0.75 * (0.6, 0.8)."""
    x = Stream("image", {EMBEDDING: torch.tensor([[0.8, 0.6], [0.6, 0.8]])})
    torch.testing.assert_close(by_hand()(x), torch.tensor([[6.5, 4.5], [4.5, 6.0]]))
    unit = by_hand(unit=True)(x)
    torch.testing.assert_close(unit, torch.tensor([[6.5, 4.5], [6.0, 8.0]]) * 10 / torch.tensor([[62.5**0.5], [10]]))


def test_ratio_0_is_zero_shot() -> None:
    here = context()
    zero_shot = 100 * stream("image", 5, 7).x[EMBEDDING] @ class_means(stream("text", 2, 1), 3).T
    torch.testing.assert_close(fitted(here, ratio=0.0)(stream("image", 5, 7)), zero_shot)


@pytest.mark.parametrize(
    ("aux", "head", "trained"),
    [((), "auto", False), (("text",), "auto", True), ((), "trained", True), (("text", "audio"), "frozen", False)],
)
def test_the_head_trains_with_auxiliary_modalities(aux: tuple[str, ...], head: str, trained: bool) -> None:
    here = context(aux)
    model = fitted(here, head=head, init=["names"])
    names = class_means(stream("text", 2, 1), 3)
    assert torch.equal(model.weight, names) != trained
    assert bool(model.unit) != trained, "unit length before a frozen head only"
    assert here.record["head"] == ("trained" if trained else "frozen")


def test_all_modalities_pass_the_same_bottleneck() -> None:
    here = context(("text", "audio"))
    model = fitted(here)
    x = stream("image", 3, 9)
    for modality in ("text", "audio"):
        assert torch.equal(model(x), model(replace(x, modality=modality)))


def test_val_picks_the_start_of_a_trained_head() -> None:
    """Names that are wrong lose to zero; names that are right, where samples are few and wrong, win."""
    wrong = replace(stream("text", 2, 1), y=torch.tensor([1, 2, 0, 1, 2, 0]))
    here = context(("audio",), read_names=lambda: wrong)
    fitted(here, lr=[1e-4])
    assert here.record["init"] == "zero"
    assert ClipAdapter(QUICK).init_name(here) == "zero"
    misled = replace(stream("image", 4, 2), y=torch.tensor([1, 2, 0] * 4))
    here = context(("audio",), train={"image": misled, "audio": replace(misled, modality="audio")})
    fitted(here, lr=[1e-4])
    assert here.record["init"] == "names"
    assert ClipAdapter(QUICK).init_name(here) == "text"


def test_a_frozen_head_starts_at_the_names_whatever_init_says() -> None:
    here = context()
    assert ClipAdapter({"init": ["zero"]}).init_name(here) == "text"
    assert bool(fitted(here, init=["zero"]).weight.any())


def test_ratio_val_searches() -> None:
    here = context(val=stream("image", 30, 3, noise=0.8))
    fitted(here, ratio="val", ratios=[0.0, 0.5, 0.9])
    found = {ratio: here.evaluate(fitted(context(val=here.val), ratio=ratio)) for ratio in (0.0, 0.5, 0.9)}
    assert here.record["ratio"] == max(found, key=lambda ratio: found[ratio])


def test_without_val_the_published_ratio_and_the_first_of_each_setting_are_taken() -> None:
    here = context(("text",), val=None)
    fitted(here, ratio="val", ratios=[0.7], lr=[1e-3, 1e-2], weight_decay=[0.5, 0.1])
    assert here.record == {
        "ratio": 0.2, "init": "names", "lr": 1e-3, "weight_decay": 0.5, "step": -1, "head": "trained"
    }  # fmt: skip


def test_all_combinations_are_candidates() -> None:
    strategy = ClipAdapter({"ratio": "val", "ratios": [0.2, 0.6], "weight_decay": [0, 0.1], "steps": 1})
    here = context(("text",))
    chosen = [model.chosen for init in strategy.config.init for model in strategy._along(init, here)]
    seen = {(c["ratio"], c["init"], c["lr"], c["weight_decay"]) for c in chosen}
    assert len(seen) == len(chosen) == 2 * 2 * 2 * 2


def test_the_bottleneck_is_a_quarter_as_wide_and_starts_as_torchs_layers_do() -> None:
    model = ClipAdapter().build(context())
    assert isinstance(model, AdapterClassifier)
    assert (model.down.shape, model.up.shape) == ((2, 8), (8, 2))
    down, up = random_bottleneck(400, 100, torch.Generator().manual_seed(1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(400, 100, bias=False).weight.detach(), nn.Linear(100, 400, bias=False).weight.detach()
    for ours, theirs in zip((down, up), layers, strict=True):
        assert abs(float(ours.abs().max() / theirs.abs().max()) - 1) < 1e-2
        assert abs(float(ours.std() / theirs.std()) - 1) < 2e-2


def test_a_narrow_space_keeps_one_hidden_unit() -> None:
    assert fitted(context(), reduction=100).down.shape == (1, 8)


def test_what_a_run_keeps() -> None:
    assert set(own_tensors(fitted(context()))) == {"down", "up", "weight", "ratio", "scale", "unit"}


def test_without_names_it_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="class names are needed: choose an encoder that reads them") as caught:
        adapt(ClipAdapter(), replace(context(), read_names=lambda: None))
    assert "--text-encoder NAME" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given", ({"ratio": 1.5}, {"ratio": "best"}, {"ratios": [2]}, {"init": ["text"]}, {"head": "on"}, {"reduction": 0})
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"ClipAdapter: {next(iter(given))}"):
        ClipAdapter(given)
