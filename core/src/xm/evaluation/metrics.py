"""Metrics, from scikit-learn, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from xm.foundation.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor


def _accuracy(y: Any, predicted: Any) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(y, predicted))


def _balanced_accuracy(y: Any, predicted: Any) -> float:
    from sklearn.metrics import recall_score

    return float(recall_score(y, predicted, average="macro", labels=sorted(set(y)), zero_division=0))


def _macro_f1(y: Any, predicted: Any) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(y, predicted, average="macro", labels=sorted(set(y)), zero_division=0))


METRICS: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": _accuracy,
    "balanced-accuracy": _balanced_accuracy,
    "macro-f1": _macro_f1,
}
"""Each takes labels and predictions, (n,) each, and averages over the classes that occur among the labels."""


def find_metric(name: str) -> Callable[[Any, Any], float]:
    """The metric of that name.

    Raises:
        UsageError: for an unknown metric.
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]


def coverage(predicted: Tensor) -> float:
    """The part of decisions (n,) that are for a class, not for none of them (-1): in 0..1."""
    return int((predicted >= 0).sum()) / len(predicted)


def measure(metric: str, labels: Tensor, predicted: Tensor) -> float:
    """The value of a metric, in 0..1."""
    return find_metric(metric)(labels.tolist(), predicted.tolist())
