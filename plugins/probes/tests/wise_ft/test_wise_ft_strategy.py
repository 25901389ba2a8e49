"""The strategy `wise-ft`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Context, Strategy, StrategySpec, Stream, UsageError
from xm.encoders import Tail
from xm.learning import EMBEDDING, LinearClassifier, LinearProbe, Tower, Towers, adapt, class_means
from xm.plugins import manager
from xm.testing import StrategyConformance
from xm_probes.wise_ft.strategy import WiseFT

CLASSES = ("a", "b", "c")


class TestConformance(StrategyConformance):
    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("wise-ft")


class TestConformanceOfTheSearch(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {"ratio": "val"}


class TestConformanceOfTheSweep(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {
        "solver": "adamw",
        "steps": 60,
        "lr": [1e-2],
        "weight_decay": [0.01],
        "eval_every": 20,
    }


def stream(modality: str, per_class: int, seed: int) -> Stream:
    y = torch.arange(3).repeat(per_class)
    x = torch.eye(8)[y] + 0.4 * torch.randn(len(y), 8, generator=torch.Generator().manual_seed(seed))
    return Stream(modality, {EMBEDDING: normalize(x, dim=1)}, y)


def context(aux: bool = True, **more: Any) -> Context:
    text = stream("text", 2, 1)
    train = {"image": stream("image", 4, 2), **({"text": text} if aux else {})}
    given: dict[str, Any] = {"val": stream("image", 6, 3), "read_names": lambda: text, "train": train} | more
    named = frozenset({"text"} if aux else ())
    towers = Towers({"image": Tower(Tail())})
    return Context(classes=CLASSES, target="image", dim=8, named=named, towers=towers, **given)


def weights(strategy: Strategy, here: Context) -> Tensor:
    model = adapt(strategy, here)
    assert isinstance(model, LinearClassifier)
    return model.weight.detach()


@pytest.mark.parametrize("aux", (True, False), ids=("cross-modal", "uni-modal"))
def test_ratio_0_is_the_probe_and_ratio_1_the_names(aux: bool) -> None:
    fitted = weights(LinearProbe({"init": "text"}), context(aux))
    zero_shot = class_means(stream("text", 2, 1), 3)
    torch.testing.assert_close(weights(WiseFT({"ratio": 0}), context(aux)), fitted, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(weights(WiseFT({"ratio": 1}), context(aux)), zero_shot)
    quarter = weights(WiseFT({"ratio": 0.25}), context(aux))
    torch.testing.assert_close(quarter, 0.75 * fitted + 0.25 * zero_shot, atol=1e-4, rtol=1e-3)


def test_it_starts_at_the_names_even_alone() -> None:
    assert WiseFT().init_name(context(aux=False)) == "text"
    assert WiseFT({"init": "random"}).init_name(context()) == "random"


def test_ratio_val_searches_and_records_the_path() -> None:
    here = context(aux=False)
    model = adapt(WiseFT({"ratio": "val", "ratios": [0, 0.5, 1]}), here)
    path = here.record["ratios"]
    assert isinstance(path, dict) and list(path) == ["0.0", "0.5", "1.0"]
    assert here.accuracy(model) == max(path.values()) == path[str(here.record["ratio"])]
    for ratio, accuracy in path.items():
        assert accuracy == here.accuracy(adapt(WiseFT({"ratio": float(ratio)}), context(aux=False)))


def test_of_equal_ratios_the_first_is_kept() -> None:
    """The names are all alike, so that every mixture decides as the probe does; only certainty differs."""
    alike = Stream("text", {EMBEDDING: torch.eye(8)[[7, 7, 7]]}, torch.arange(3))
    here = context(aux=False, read_names=lambda: alike)
    adapt(WiseFT({"ratio": "val", "ratios": [0, 0.9], "init": "zero", "penalties": [0.1]}), here)
    path = here.record["ratios"]
    assert isinstance(path, dict) and path["0.0"] == path["0.9"]
    assert here.record["ratio"] == 0


def test_without_val_the_published_ratio_is_taken() -> None:
    here = context(val=None)
    torch.testing.assert_close(
        weights(WiseFT({"ratio": "val"}), here), weights(WiseFT({"ratio": 0.5}), context(val=None))
    )
    assert here.record == {"ratio": 0.5, "pull": "zero", "penalty": 3e-4}, "as published, and what is with no val"


def test_without_names_it_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="class names are needed: choose an encoder that reads them"):
        adapt(WiseFT(), replace(context(), read_names=lambda: None))


@pytest.mark.parametrize("given", ({"ratio": 1.5}, {"ratio": "best"}, {"ratios": [0, 2]}))
def test_a_ratio_is_between_0_and_1(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="WiseFT: ratio"):
        WiseFT(given)
