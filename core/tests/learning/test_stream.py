"""Streams: what belongs to a row goes where the row goes."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xm import Stream
from xm.encoders.encoder import Tail
from xm.learning.model import EMBEDDING, FEW, Tower, Towers
from xm.learning.sampler import batches
from xm.learning.stream import joined

OPTIONAL = [field.name for field in fields(Stream) if field.name not in ("modality", "x", "also")]


def stream(n: int = 5, **less: None) -> Stream:
    """Every optional field is ten times the row and a number of its own."""
    more: dict[str, Any] = {name: 10 * torch.arange(n) + i for i, name in enumerate(OPTIONAL)}
    return Stream("image", {"features": torch.eye(n)}, **more | {"weight": torch.rand(n)} | less)


def kept(found: Stream, expected: Stream, rows: Tensor | None = None) -> None:
    for name in OPTIONAL:
        one, other = getattr(found, name), getattr(expected, name)
        if other is None:
            assert one is None, name
        else:
            assert one is not None and torch.equal(one, other if rows is None else other[rows]), name
    assert found.modality == expected.modality


@pytest.mark.parametrize("less", [{}, dict.fromkeys(OPTIONAL), {"pair": None}])
def test_rows_take_all_along(less: dict[str, None]) -> None:
    whole, rows = stream(**less), torch.tensor([3, 0, 3])
    kept(whole[rows], whole, rows)
    assert torch.equal(whole[rows].x["features"], torch.eye(5)[rows])
    [batch] = [next(batches({"image": whole}, {"image": 5}, torch.Generator().manual_seed(1)))]
    kept(batch["image"], whole)


def test_moved_weighted_and_embedded_streams_keep_all() -> None:
    whole = stream()
    moved = whole.to("meta")
    assert all(getattr(moved, name).device.type == "meta" for name in OPTIONAL)
    assert moved.x["features"].device.type == "meta"
    kept(whole.to("cpu"), whole)
    doubled = whole.times(2.0)
    kept(replace(doubled, weight=whole.weight), whole)
    assert doubled.weight is not None and whole.weight is not None
    assert torch.equal(doubled.weight, 2 * whole.weight)


@pytest.mark.parametrize("n", (5, FEW + 1))
def test_embedded_streams_keep_all(n: int) -> None:
    towers = Towers({"image": Tower(nn.Sequential(Tail()))})
    whole = stream(n)
    for found in (towers.embed(whole), towers.embedded(whole), towers.embedded(towers.embed(whole))):
        kept(found, whole)
        assert list(found.x) == [EMBEDDING]


def test_streams_join_with_what_each_says_of_its_samples() -> None:
    y = torch.tensor([0, 1])
    one = Stream("image", {"embedding": torch.eye(2)}, y, pair=torch.tensor([3, -1]))
    other = Stream("image", {"embedding": 2 * torch.eye(2)}, 1 - y, weight=torch.tensor([0.5, 2.0]))
    both = joined([one, other])
    assert both.x["embedding"].tolist() == [[1, 0], [0, 1], [2, 0], [0, 2]]
    assert both.labels.tolist() == [0, 1, 1, 0]
    assert both.weight is not None and both.weight.tolist() == [1, 1, 0.5, 2]
    assert both.pair is not None and both.pair.tolist() == [3, -1, -1, -1]
    assert both.group is None and both.origin is None and both.also == {}
    assert joined([replace(one, y=None), replace(one, y=None)]).y is None
    with pytest.raises(ValueError, match="no labels"):
        joined([one, replace(one, y=None)])


def test_readings_join_too() -> None:
    one = Stream("image", {"embedding": torch.eye(2)}, also={"flip": {"embedding": torch.ones(2, 2)}})
    assert joined([one, one]).also["flip"]["embedding"].shape == (4, 2)
