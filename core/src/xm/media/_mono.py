"""Channels to one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CANCELLED = 0.01
"""Of the power that the mean of channels without anything in common has; with less, they cancel each other."""


def mono(samples: NDArray[Any], axis: int) -> NDArray[np.float32]:
    """(n,) float32: the mean over channels, or, where they cancel each other, the loudest of them.

    Channels cancel each other where one is turned over, as by a cable with its poles swapped: their mean is far
    softer than they are.

    Args:
        samples: floats (n, channels) or (channels, n).
        axis: of the channels.
    """
    mean = samples.mean(axis=axis)
    count = samples.shape[axis]
    if count > 1 and mean.size:
        powers = [_power(samples.take(i, axis=axis)) for i in range(count)]
        if _power(mean) < CANCELLED * sum(powers) / count**2:
            mean = samples.take(int(np.argmax(powers)), axis=axis)
    return np.asarray(mean, np.float32)


def _power(samples: NDArray[Any]) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))
