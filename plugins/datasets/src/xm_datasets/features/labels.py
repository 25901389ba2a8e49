"""Labels of files as people have them: in words, as floats, in a column, counted from 1."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xm import DataError
from xm.data import SPLIT_WORDS
from xm.encoders.bank import CLASSES, LABELS

log = logging.getLogger("xm.data")

_USUAL = re.compile(r"x|y|features?|feats?|embeddings?|embs?|vectors?|data|labels?|targets?|classes", re.IGNORECASE)
_OF_LABELS = re.compile(r"y|labels?|targets?|classes", re.IGNORECASE)


def in_numbers(
    path: Path, arrays: Mapping[str, NDArray[Any]], classes: tuple[str, ...] | None
) -> tuple[dict[str, NDArray[Any]], tuple[str, ...] | None]:
    """The arrays with labels as whole numbers (n,), and the classes, which labels in words bring.

    Args:
        path: of the file, for messages.
        arrays: by name; those whose names end with `LABELS` beside one without are labels.
        classes: that the file names; None: none.

    Raises:
        DataError: for labels that count from 1, in one-hot rows, between whole numbers, or no name of `classes`.
    """
    labels = {name: _column(path, name, y) for name, y in arrays.items() if _is_labels(name, arrays)}
    words = sorted({word for y in labels.values() if y.dtype.kind in "US" for word in y.astype(str).tolist() if word})
    if words and any(y.dtype.kind not in "US" and len(y) for y in labels.values()):
        name = next(name for name, y in labels.items() if y.dtype.kind not in "US" and len(y))
        raise DataError(f"{path}: {name} holds numbers, and other labels are words; save all in one way")
    if words and classes is None:
        classes = tuple(words)
    numbers = {name: _numbers(path, name, y, classes or ()) for name, y in labels.items()}
    _check_first(path, numbers, classes)
    return {**arrays, **numbers}, classes


def _is_labels(name: str, arrays: Mapping[str, NDArray[Any]]) -> bool:
    return name.endswith(LABELS) and name.removesuffix(LABELS) in arrays


def _column(path: Path, name: str, y: NDArray[Any]) -> NDArray[Any]:
    if y.ndim == 2 and 1 in y.shape and y.size == max(y.shape):
        return y.reshape(-1)
    if y.ndim == 2 and y.size and y.dtype.kind in "biuf" and (y.sum(axis=1) == 1).all() and np.isin(y, (0, 1)).all():
        raise DataError(f"{path}: {name} holds a row of 0 and 1 for each item; save {name}.argmax(axis=1)")
    return y


def _numbers(path: Path, name: str, y: NDArray[Any], classes: tuple[str, ...]) -> NDArray[Any]:
    if y.dtype.kind in "US":
        index = {"": -1, **{word: label for label, word in enumerate(classes)}}
        found = y.astype(str)
        odd = next((word for word in found.ravel().tolist() if word not in index), None)
        if odd is not None:
            raise DataError(f"{path}: {name} holds {odd!r}, which is none of {CLASSES}")
        return np.array([index[word] for word in found.ravel().tolist()], dtype=np.int64).reshape(y.shape)
    if y.dtype.kind != "f":
        return y
    filled = np.where(np.isnan(y), -1, y)
    odd = next((value for value in filled.ravel().tolist() if not float(value).is_integer()), None)
    if odd is not None:
        raise DataError(f"{path}: {name} holds {odd:g}; labels are whole numbers from 0, or names of classes")
    return filled.astype(np.int64)


def _check_first(path: Path, labels: Mapping[str, NDArray[Any]], classes: tuple[str, ...] | None) -> None:
    """No labels that count from 1."""
    found = {name: y[y >= 0] for name, y in labels.items() if y.dtype.kind in "iu"}
    known = np.unique(np.concatenate([y.reshape(-1) for y in found.values()])) if found else np.array([])
    highest = len(known) if classes is None else len(classes)
    if len(known) > 1 and known[0] == 1 and known[-1] >= highest:
        name = next((name for name in found if SPLIT_WORDS.get(name.partition("_")[0]) == "train"), "")
        said = f"labels are from 1 to {known[-1]}, and none is 0"
        if name:
            raise DataError(f"{path}: {name}: {said}; they count from 0: save {name} - 1, and the others so")
        log.warning("%s: %s; if they count from 1, save them less 1", path, said)  # else class 0 is just not there


def renamed(name: str) -> str:
    """What to call an array of a usual name, in words; "" of any other."""
    parts = [part for part in re.split(r"[_\W]+", name) if part]
    split = next((SPLIT_WORDS[part.lower()] for part in parts if part.lower() in SPLIT_WORDS), "any")
    usual = next((part for part in parts if _USUAL.fullmatch(part)), None)
    if usual is None:
        return ""
    end = LABELS if _OF_LABELS.fullmatch(usual) else ""
    return f": call it {split}_image{end}, or by another modality than image"
