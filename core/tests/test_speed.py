"""The choice of precision is measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from xm.encoder import Encoder, Inputs
from xm.errors import ItemError
from xm.speed import measured


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
    assert found.precision == chosen
    assert str(found).startswith(f"{chosen} (float32 ") and "cosine" in str(found)


def test_what_can_not_be_read_is_passed_over() -> None:
    assert measured(Timed(0.05, 0.001), [-1, 2]).precision == "bfloat16"
    assert measured(Timed(0.05, 0.001), [-1]).precision == "float32"
    assert measured(Timed(0.05, 0.001), []).seconds == {}
