"""Figures with 95 % intervals: of a dataset by resampling, of a mean over datasets from theirs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from xm.evaluation import Comparison, Hits, compare


class Interval(NamedTuple):
    """A figure with the ends of its 95 % interval: an accuracy, 0..1, or a difference of two, -1..1."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, found: Comparison) -> Interval:
        return cls(found.difference, found.low, found.high)

    def minus(self, known: float) -> Interval:
        """Less a number that is taken for exact."""
        return Interval(self.value - known, self.low - known, self.high - known)


def accuracy(seeds: Iterable[Hits]) -> Interval:
    """The mean accuracy over seeds, whose interval resamples seeds and test items, as comparisons of rows do.

    It is the difference from a model that has nothing right.
    """
    pairs = [(hits, Hits(hits.item, np.zeros_like(hits.right))) for hits in seeds]
    return Interval.of(compare(pairs, strategy="", aux=(), against="", against_aux=(), shots=0))


def mean(found: Sequence[Interval]) -> Interval:
    """The mean over datasets. Their errors are independent, as their draws and test sets are: squares of the distances
    from figure to end add up, for each end on its own (Zou and Donner, Statistics in Medicine 2008).
    """
    value = fmean(one.value for one in found)
    below = math.hypot(*(one.value - one.low for one in found)) / len(found)
    above = math.hypot(*(one.high - one.value for one in found)) / len(found)
    return Interval(value, value - below, value + above)
