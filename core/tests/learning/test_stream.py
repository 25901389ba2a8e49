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
