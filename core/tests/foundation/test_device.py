"""Devices, precision and threads."""

from __future__ import annotations

import threading
from typing import get_args

import pytest
import torch

from xm.experiment.settings import TrainSettings
from xm.foundation.device import PRECISIONS, autocast, pick_device, spread, threads
from xm.foundation.errors import UsageError


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps", "xpu")
    missing = [] if torch.cuda.is_available() else ["cuda", "cuda:1"]
    for name in ("gpu", "", *missing):
        with pytest.raises(UsageError) as caught:
            pick_device(name)
        assert f"device {name!r} can't be used here" in str(caught.value)
        assert "try: auto, cpu" in str(caught.value) and "\n" not in str(caught.value)


def test_precision() -> None:
    x = torch.ones(2, 2)
    with autocast(torch.device("cpu"), "bfloat16"):
        assert (x @ x).dtype == torch.bfloat16
    with autocast(torch.device("cpu"), "float32"):
        assert (x @ x).dtype == torch.float32
    with pytest.raises(UsageError, match="unknown precision 'float33': did you mean 'float32'"):
        autocast(torch.device("cpu"), "float33")
    assert set(get_args(TrainSettings.model_fields["precision"].annotation)) == set(PRECISIONS)


def test_threads_are_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    with threads(1):
        assert torch.get_num_threads() == 1
    with pytest.raises(KeyError), threads(1):
        raise KeyError
    assert torch.get_num_threads() == before


def test_spread_keeps_the_order_and_uses_threads_of_one() -> None:
    with threads(2):
        seen = set()
        both = threading.Barrier(2, timeout=20)

        def work(i: int) -> tuple[int, int]:
            seen.add(threading.get_ident())
            if i < 2:
                both.wait()  # two items are in work at once
            return i, torch.get_num_threads()

        assert spread(work, range(6)) == [(i, 1) for i in range(6)]
        assert len(seen) == 2 and torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError):
            spread(lambda i: 1 // i, [1, 0])
        assert torch.get_num_threads() == 2
    assert spread(str, []) == []
