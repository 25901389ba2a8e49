"""Predictions of items, from a rule's probabilities, in the order in which the items were given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from xm.encoders.encoder import Encoder
from xm.evaluation.report import Prediction
from xm.foundation.errors import ItemError, UsageError
from xm.learning.predictor import NONE


def by_modality(
    items: Sequence[Any],
    modality_of: Callable[[Any], str],
    encoder_of: Callable[[str], Encoder],
    predict: Callable[[str, list[Any]], Iterable[Prediction]],
) -> list[Prediction]:
    """Predictions of items of several modalities, each modality's together; in the order of the items.

    Args:
        items: paths, or what encoders read. A string is a path, unless the encoder reads names.
        modality_of: an item.
        encoder_of: a modality.
        predict: a modality's items, a prediction each.

    Raises:
        UsageError: if the items are one path or text.
    """
    if isinstance(items, str | Path):
        raise UsageError(f"predict takes a list of items: [{str(items)!r}]")
    rows: dict[str, list[int]] = {}
    for i, item in enumerate(items):
        rows.setdefault(modality_of(item), []).append(i)
    found: list[Prediction | None] = [None] * len(items)
    for modality, numbers in rows.items():
        names = encoder_of(modality).accepts_names
        given = [items[i] if names or not isinstance(items[i], str) else Path(items[i]) for i in numbers]
        for i, prediction in zip(numbers, predict(modality, given), strict=True):
            found[i] = replace(prediction, item=items[i])
    return [prediction for prediction in found if prediction is not None]


def predictions(
    items: Sequence[Any],
    failed: Mapping[int, ItemError],
    found: tuple[Tensor, Tensor] | None,
    names: Sequence[str],
    labels: Sequence[int],
) -> Iterator[Prediction]:
    """A prediction for each item.

    Args:
        items: n of them.
        failed: the errors of those that can't be read, by number.
        found: probabilities (m, classes) and decisions (m,) of the others; None if there are none.
        names: of all classes, told apart.
        labels: of the classes that were decided among.
    """
    rows: Iterator[tuple[list[float], int]] = iter(())
    if found is not None:
        rows = iter(zip(found[0][:, list(labels)].tolist(), found[1].tolist(), strict=True))
    for i, item in enumerate(items):
        if i in failed:
            yield Prediction(item, None, {}, failed[i].reason)
        else:
            chances, decided = next(rows)
            label = None if decided == NONE else names[decided]
            probabilities = dict(zip((names[k] for k in labels), chances, strict=True))
            yield Prediction(item, label, probabilities, abstained=label is None)


def together(who: str) -> str:
    """The warning where items are judged with the others that are given."""
    return f"{who} judges items together: an answer depends on the other items that are given, and may be another alone"
