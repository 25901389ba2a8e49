"""The strategy `nearest-centroid`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from xm import Context, StrategySpec, Stream, UsageError
from xm.learning import EMBEDDING, Towers, adapt
from xm.plugins import manager
from xm.testing import StrategyConformance
from xm_probes.nearest_centroid.strategy import NearestCentroid


class TestConformance(StrategyConformance):
    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("nearest-centroid")


class TestConformanceByModality(TestConformance):
    settings = {"weigh": "modalities"}  # noqa: RUF012 - a class attribute of the suite


class TestConformanceByGroup(TestConformance):
    settings = {"weigh": "groups"}  # noqa: RUF012 - a class attribute of the suite


def context() -> Context:
    """Class "a": images (1, 0), (1, 0), (1, 0) and a text (0, 1); class "b": an image and a text (-1, 0)."""
    image = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    text = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    return Context(
        classes=("a", "b"),
        target="image",
        dim=2,
        train={
            "image": Stream("image", {EMBEDDING: image}, torch.tensor([0, 0, 0, 1])),
            "text": Stream("text", {EMBEDDING: text}, torch.tensor([0, 1])),
        },
        val=None,
        named=frozenset({"text"}),
        towers=Towers(),
    )


@pytest.mark.parametrize(("weigh", "first"), (("samples", [3.0, 1.0]), ("modalities", [1.0, 1.0])))
def test_weigh(weigh: str, first: list[float]) -> None:
    model = adapt(NearestCentroid({"weigh": weigh, "scale": 1}), context())
    torch.testing.assert_close(model.weight, torch.stack([normalize(torch.tensor(first), dim=0), -torch.eye(2)[0]]))
    assert model.scale == 1


@pytest.mark.parametrize(
    ("image", "text", "first"),
    (
        ([5, 5, -1, 5], None, [2.0, 1.0]),  # two of a group are one; the class "b" is another one of it
        ([5, 5, 6, 6], [5, 6], [1 + 2 / 3, 1 / 3]),  # groups go across modalities
        ([5, 5, 5, 5], [7, -1], [1.0, 1.0]),
        (None, None, [3.0, 1.0]),
    ),
)
def test_a_group_counts_once(image: list[int] | None, text: list[int] | None, first: list[float]) -> None:
    here = context()
    groups = {"image": image, "text": text}
    train = {n: replace(s, group=groups[n] and torch.tensor(groups[n])) for n, s in here.train.items()}
    model = adapt(NearestCentroid({"weigh": "groups"}), replace(here, train=train))
    torch.testing.assert_close(model.weight, torch.stack([normalize(torch.tensor(first), dim=0), -torch.eye(2)[0]]))


def test_no_other_weighing() -> None:
    with pytest.raises(UsageError, match="weigh='classes'"):
        NearestCentroid({"weigh": "classes"})


def test_decides_as_scikit_learn_does() -> None:
    """With centroids of one length the largest cosine is the smallest distance."""
    from sklearn.neighbors import NearestCentroid as Reference

    here = context()
    x = normalize(torch.randn(200, 2, generator=torch.Generator().manual_seed(0)), dim=1)
    model = adapt(NearestCentroid(), here)
    with np.errstate(invalid="ignore"):  # of its shrinkage, which is off: a class of one has no variance
        reference = Reference().fit(model.weight.detach().numpy(), [0, 1])
    assert (x @ model.weight.T).argmax(dim=1).tolist() == reference.predict(x.numpy()).tolist()
