"""The choice of a way to compute is measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xm.encoders import speed
from xm.encoders.encoder import Encoder, Preparing
from xm.encoders.speed import EXACT, Choice, Way, measured
from xm.foundation.errors import ItemError
from xm.learning.stream import Inputs


class Timed(Encoder):
    """Takes so long, and gives such vectors, by precision."""

    modality, space, dim, batch_size = "number", "numbers", 4, 3

    def __init__(self, exact: float, half: float, error: float = 0.0) -> None:
        self.seconds = {False: exact, True: half}
        self.error = error

    def fingerprint(self) -> str:
        return "timed"

    def trunk(self, items: Sequence[Any]) -> Inputs:
        if min(items) < 0:
            raise ItemError(min(items), "is negative")
        half = torch.is_autocast_enabled("cpu")
        time.sleep(self.seconds[half])
        x = torch.eye(4)[torch.tensor(items) % 4]
        return {"features": x + (self.error * x.roll(1, dims=1) if half else 0)}


@pytest.mark.parametrize(
    ("encoder", "chosen"),
    [
        (Timed(0.05, 0.001), "bfloat16"),
        (Timed(0.001, 0.05), "float32"),
        (Timed(0.05, 0.001, error=0.1), "float32"),
        (Timed(0.05, 0.001, error=0.01), "bfloat16"),
    ],
    ids=["faster", "slower", "too far", "near enough"],
)
def test_the_faster_one_that_is_near_enough(encoder: Timed, chosen: str) -> None:
    found = measured(encoder, [1, 2, 3, 4])
    assert str(found.way) == chosen
    assert str(found).startswith(f"{chosen} (float32 ") and "cosine" in str(found)


def test_what_can_not_be_read_is_passed_over() -> None:
    assert measured(Timed(0.05, 0.001), [-1, 2]).way == Way("bfloat16")
    assert measured(Timed(0.05, 0.001), [-1]).way == EXACT
    assert measured(Timed(0.05, 0.001), []).seconds == {}


class Convolved(Preparing):
    """Images (3, 8, 8) through a small network; keeps how its weights lay."""

    modality, space, dim, batch_size = "image", "convolved", 4, 3

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = nn.Sequential(
                nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(128, 4)
            ).eval()

    def fingerprint(self) -> str:
        return "convolved"

    def networks(self) -> tuple[nn.Module, ...]:
        return (self.network,)

    def prepare(self, item: int) -> Tensor:
        return torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(item))

    def compute(self, prepared: Sequence[Any]) -> Inputs:
        return {"features": self.network(torch.stack(list(prepared)))}


WAYS = [Way("bfloat16"), Way(channels_last=True), Way(compiled=True), Way("bfloat16", True, True)]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_ways_are_near_and_leave_no_trace(way: Way) -> None:
    encoder = Convolved()
    batch = [encoder.prepare(i) for i in range(3)]
    before = {name: value.clone() for name, value in encoder.network.state_dict().items()}
    exact = encoder.compute(batch)["features"]
    with way.of(encoder), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled="b" in way.precision):
        inside = encoder.network[0].weight
        assert (inside.dtype == torch.bfloat16) == (way.precision == "bfloat16")
        assert inside.is_contiguous(memory_format=torch.channels_last) == way.channels_last
        assert ("forward" in vars(encoder.network)) == way.compiled
        found = encoder.compute(batch)["features"].float()
        of_one = encoder.compute(batch[:1])["features"].float()
    torch.testing.assert_close(found, exact, atol=0.05, rtol=0.05)
    torch.testing.assert_close(of_one, exact[:1], atol=0.05, rtol=0.05)
    assert "forward" not in vars(encoder.network)
    assert encoder.network[0].weight.is_contiguous()
    for name, value in encoder.network.state_dict().items():
        assert value.dtype == before[name].dtype and torch.equal(value, before[name])


@pytest.mark.slow
def test_only_the_first_size_is_compiled() -> None:
    encoder = Convolved()
    batch = [encoder.prepare(i) for i in range(3)]
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    with Way(compiled=True).of(encoder), torch.inference_mode():
        rows = [encoder.compute(batch[:size])["features"][0] for size in (3, 2, 1, 3)]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    torch.testing.assert_close(torch.stack(rows), rows[1].expand(4, -1), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_compiling_is_tried_where_it_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(way.compiled for way in measured(Convolved(), range(9)).seconds), "few items"
    monkeypatch.setattr(speed, "WORTH", 0.0)
    monkeypatch.setattr(speed, "SPENT", 1e9)
    assert any(way.compiled for way in measured(Convolved(), range(9)).seconds)
    sized = Convolved()
    sized.sized = True
    assert not any(way.compiled for way in measured(sized, range(9)).seconds), "each length would be compiled"


def test_a_way_that_fails_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Convolved()
    weight = encoder.network[0].weight

    def broken(self: Way, data: Tensor) -> Tensor:
        if self.channels_last:
            raise RuntimeError("no such layout\nhere")
        return data

    monkeypatch.setattr(Way, "_laid_out", broken)
    found = measured(encoder, range(3))
    assert not found.way.channels_last
    assert list(found.refused.values()) == ["no such layout"]
    assert "channels last not: no such layout" in str(found)
    assert weight.dtype == torch.float32


def test_what_is_told() -> None:
    fast = Way("bfloat16", compiled=True)
    choice = Choice(fast, {EXACT: 2.0, fast: 1.0}, {EXACT: 1.0, fast: 0.9995})
    assert str(choice) == (
        "bfloat16 compiled (float32 2.000 s, cosine 1.00000; bfloat16 compiled 1.000 s, cosine 0.99950)"
    )
