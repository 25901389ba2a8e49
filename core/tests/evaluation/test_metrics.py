"""Metrics."""

from __future__ import annotations

import pytest
import torch

from xm.evaluation.metrics import METRICS, measure
from xm.foundation.errors import UsageError

Y = torch.tensor([0, 0, 0, 0, 1, 1, 2])
HAT = torch.tensor([0, 0, 0, 1, 1, 3, 0])  # 3 is a class that does not occur


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("accuracy", 4 / 7),
        ("balanced-accuracy", (3 / 4 + 1 / 2 + 0) / 3),
        ("macro-f1", (2 * 3 / (4 + 4) + 2 * 1 / (2 + 2) + 0) / 3),
    ],
)
def test_by_hand(metric: str, value: float) -> None:
    assert measure(metric, Y, HAT) == pytest.approx(value)


def test_bounds() -> None:
    for metric in METRICS:
        assert measure(metric, Y, Y) == 1
        assert measure(metric, Y, (Y + 1) % 3) == 0


def test_unknown() -> None:
    with pytest.raises(UsageError, match=r"unknown metric 'macro-f2': did you mean 'macro-f1'"):
        measure("macro-f2", Y, HAT)
