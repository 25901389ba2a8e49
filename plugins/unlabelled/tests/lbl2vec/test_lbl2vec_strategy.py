"""The strategy `lbl2vec`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Context, StrategySpec, Stream, UsageError
from xm.encoders import Tail
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers, adapt
from xm.plugins import manager
from xm.testing import StrategyConformance
from xm_unlabelled.lbl2vec.strategy import Lbl2Vec


class TestConformance(StrategyConformance):
    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("lbl2vec")


class TestConformanceOfTheThreshold(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {"threshold": 0.3, "min_items": 2, "max_items": 20, "name": False}


AXES = torch.eye(3)


def context(items: Tensor | None, names: Tensor = AXES, **more: Any) -> Context:
    """Two or three classes, a name each; items without labels."""
    y = torch.arange(len(names))
    train = {"text": Stream("text", {EMBEDDING: names}, y)} | more.pop("train", {})
    unlabelled = {} if items is None else {"image": Stream("image", {EMBEDDING: items})}
    return Context(
        classes=tuple("abc"[: len(names)]),
        target="image",
        dim=names.shape[1],
        train=train,
        val=None,
        named=frozenset({"text"}),
        towers=Towers({name: Tower(Tail()) for name in ("image", *train)}),
        unlabelled=unlabelled,
        **more,
    )


def rows(here: Context, **settings: Any) -> Tensor:
    model = adapt(Lbl2Vec(settings), here)
    assert type(model) is LinearClassifier
    assert not any(parameter.requires_grad for parameter in model.parameters())
    return model.weight.detach()


def test_by_hand() -> None:
    """Two classes along axes; the two items nearest to each lie 0.6 off, all the same way."""
    items = torch.tensor([[0.8, 0, 0.6], [0.8, 0, 0.6], [0, 0.8, 0.6], [0, 0.8, 0.6], [0, 0, -1.0]])
    here = context(items, AXES[:2])
    torch.testing.assert_close(rows(here, k=2, name=False), items[[0, 2]])
    assert here.record["items"] == [2, 2]
    torch.testing.assert_close(rows(here, k=2), normalize(items[[0, 2]] + AXES[:2], dim=1))


def test_at_most_half_the_mean_class_size() -> None:
    items = normalize(torch.randn(40, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    for n, taken in ((40, 6), (12, 2), (2, 1)):
        here = context(items[:n])
        rows(here)
        assert here.record["items"] == [taken] * 3
    here = context(items[:4])
    rows(here, k=9)
    assert here.record["items"] == [4] * 3, "what the user wants, as far as there is so much"
    many = context(normalize(torch.randn(400, 3, generator=torch.Generator().manual_seed(1)), dim=1))
    rows(many)
    assert many.record["items"] == [10] * 3


def test_threshold() -> None:
    cosines = torch.tensor([[0.9, 0.5, 0.7, 0.1], [0.2, 0.1, 0.0, 0.3]])
    for settings, wanted in (
        ({"threshold": 0.5}, [[1, 0, 1, 0], [0, 0, 0, 1]]),
        ({"threshold": 0.5, "min_items": 2}, [[1, 0, 1, 0], [1, 0, 0, 1]]),
        ({"threshold": -1.0, "max_items": 3}, [[1, 1, 1, 0], [1, 1, 0, 1]]),
    ):
        assert Lbl2Vec(settings).taken(cosines).int().tolist() == wanted, settings


def test_several_auxiliary_modalities_stand_for_the_name_together() -> None:
    sounds = Stream("audio", {EMBEDDING: AXES[[0, 1, 2, 2]]}, torch.tensor([1, 2, 0, 0]))
    items = normalize(AXES + AXES[[2, 0, 1]], dim=1).repeat(2, 1)
    here = context(items, train={"audio": sounds})
    torch.testing.assert_close(rows(here, name=False), items[:3])
    assert Lbl2Vec().init_name(here) == "text+audio"


def test_samples_of_the_target_are_not_read() -> None:
    items = normalize(torch.randn(30, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    seen = Stream("image", {EMBEDDING: -AXES}, torch.arange(3))
    assert torch.equal(rows(context(items, train={"image": seen})), rows(context(items)))


def test_a_class_without_a_name_is_never_chosen_by_chance() -> None:
    names = torch.stack([AXES[0], AXES[1], torch.zeros(3)])
    here = context(AXES.repeat(4, 1), names)
    assert not rows(here)[2].any() and here.record["items"][2] == 0  # type: ignore[index]


def test_nothing_to_learn_from_is_told() -> None:
    with pytest.raises(UsageError, match=r"there are no unlabelled image items to learn from: .*--unlabelled rest"):
        rows(context(None))
    here = context(AXES)
    here.train = {}
    with pytest.raises(UsageError, match="name an auxiliary modality, as in --aux text"):
        rows(here)
