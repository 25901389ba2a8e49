"""How few samples choose: the mean of what val can't tell apart, and the likeliest scale of a zero-shot classifier."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from xm.learning.context import Context
from xm.learning.model import LinearClassifier

SCALES = tuple(2 ** (step / 4) for step in range(41))
"""The logit scales that `likeliest_scale` tries: 1 to 1024."""

ROUNDING = 1e-6
"""Of a difference of means that are equal."""

CLIP_SCALE = 100.0
"""The logit scale that CLIP's models were trained to."""

Model = TypeVar("Model", bound=nn.Module)
Head = TypeVar("Head", bound=LinearClassifier)


def mean_of_best(heads: Iterable[Head], context: Context) -> Head:
    """The mean of the heads that no other beats in accuracy on val; with no val, the mean of all.

    Val of a few items can't tell many heads apart. Of those that it calls equal, the mean keeps what they agree on (a
    uniform soup: Wortsman et al., Model soups, ICML 2022, over candidates that tie).

    Args:
        heads: of one kind, on the same towers, of one scale; looked at one by one.

    Returns:
        One of them, whose `chosen` has each hyperparameter of the best, a list where they differ, and their number.
    """
    found: list[Head] = []
    highest, count, chosen, sums = -1.0, 0, dict[str, list[object]](), list[Tensor]()
    for head in heads:
        accuracy = 0.0 if context.val is None else context.accuracy(head)
        if accuracy < highest:
            continue
        if accuracy > highest:
            found, highest, count, chosen = [head], accuracy, 0, {}
            sums = [torch.zeros_like(parameter) for parameter in _own(head)]
        count += 1
        for total, parameter in zip(sums, _own(head), strict=True):
            total.add_(parameter.detach())
        for name, value in head.chosen.items():
            values = chosen.setdefault(name, [])
            values += [] if value in values else [value]
    (mean,) = found
    for total, parameter in zip(sums, _own(mean), strict=True):
        parameter.data = total / count
    mean.chosen = {name: values[0] if len(values) == 1 else values for name, values in chosen.items()}
    mean.chosen |= {"heads": count} if count > 1 else {}
    return mean


def _own(head: LinearClassifier) -> list[nn.Parameter]:
    """Its parameters but for those of the towers."""
    return [parameter for name, parameter in head.named_parameters() if not name.startswith("towers.")]


def clearly_best(models: Sequence[Model], context: Context) -> Model:
    """The first, the safe one, unless the best on val is right more often by more than a standard error.

    That is the standard error of the mean of the paired differences, item by item: a rule of one standard error
    (Breiman et al., Classification and Regression Trees, 1984, section 3.4.3). One item more is just one standard
    error, so it takes two. With no val it is the first.
    """
    if context.val is None:
        return models[0]
    judged = [context.judged(model) for model in models]
    leader = max(range(len(models)), key=lambda i: tuple(float(values.mean()) for values in judged[i]))
    gain = judged[leader][0] - judged[0][0]
    error = float(gain.std()) / math.sqrt(len(gain))
    return models[leader if float(gain.mean()) > error + ROUNDING else 0]


def likeliest_scale(cosines: Tensor, y: Tensor) -> float:
    """Of `SCALES`, the logit scale that makes labels likeliest, shrunk towards CLIP's 100, since samples are few.

    The shrinkage is a normal prior on the logarithm, whose standard deviation is a factor of 2.

    Args:
        cosines: (n, classes), of samples and class names.
        y: (n,), the labels.
    """

    def loss(scale: float) -> float:
        return float(cross_entropy(scale * cosines, y, reduction="sum")) + 0.5 * math.log2(scale / CLIP_SCALE) ** 2

    return min(SCALES, key=loss)
