"""Precomputed features as a dataset: ``.npz`` and ``.safetensors``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xm import DataError, Dataset, Sample
from xm.data import SPLIT_WORDS, missing, modality_of
from xm.encoders.bank import CLASSES, ITEMS, LABELS, NAMES, UNSPLIT, Bank
from xm.foundation import described
from xm_datasets.features.encoder import reference
from xm_datasets.features.labels import in_numbers, renamed

FORM = "arrays <split>_<modality> (n, dim) and <split>_<modality>_y (n,), where split is train, val, test or any"

Arrays: TypeAlias = Mapping[str, NDArray[Any]]


def open_features(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Read features that were computed elsewhere: an item is a vector.

    Arrays are ``<split>_<modality>``, (n, dim), any float type, and ``<split>_<modality>_y``, (n,), class numbers
    from 0, or -1 where there is no label; in ``.npz`` also whole numbers as floats, NaN for none, a column (n, 1), and
    class names as strings. Split is train, val, test, or "any" where it is still to be drawn. `classes`,
    optional, has the classes in words: an array of strings in ``.npz``, a JSON list in the metadata of
    ``.safetensors``. Modalities of equal dim are in one space. Train's vectors of the modality of ``.txt`` files are
    the class names: they are used whole, whatever the shots. ``<split>_<modality>_items``, strings, may say what the
    items are called, and is passed over. Banks of ``xm embed`` are such files, whose rows may have
    groups and pairs, and splits by another word ("pool").
    `cache` is not used.

    Raises:
        DataError: naming the file, the array, and what is wrong with it.
    """
    path = Path(source)
    if not path.is_file():
        raise missing(path, "file")
    arrays, classes, rows, makers = _read(path)
    words = modality_of("x.txt", suffixes)
    samples: list[Sample] = []
    names: tuple[Sample, ...] = ()
    dims: dict[str, int] = {}
    highest = -1
    for name, x in sorted(arrays.items()):
        if name.endswith(NAMES) and name.removesuffix(NAMES) in arrays:
            continue  # what the items are called
        if name.endswith(LABELS) and name.removesuffix(LABELS) in arrays:
            continue
        split, modality = _parts(path, name, known=rows, labelled=name + LABELS in arrays)
        x, y = _checked(path, name, x, arrays.get(name + LABELS))
        if dims.setdefault(modality, x.shape[1]) != x.shape[1]:
            raise DataError(f"{path}: {name} has {x.shape[1]} columns, another array of {modality} {dims[modality]}")
        highest = max(highest, *y, -1)
        labels = [None if label < 0 else label for label in y]
        more = rows.get(name, [{}] * len(x))
        found = tuple(
            Sample(row, modality, label, split, own.get("group"), own.get("pair"), source=own.get("source"))
            for row, label, own in zip(x, labels, more, strict=True)
        )
        if modality == words and split == "train":
            names = tuple(sorted(found, key=lambda sample: sample.label or 0))
        else:
            samples.extend(found)
    if not dims:
        raise DataError(f"{path}: holds no features; expected {FORM}")
    if classes is None:
        classes = tuple(f"class {label}" for label in range(highest + 1))
    if highest >= len(classes):
        raise DataError(f"{path}: label {highest}, but {CLASSES} has {len(classes)} names; labels count from 0")
    return Dataset(
        name=path.stem,
        classes=classes,
        samples=tuple(samples),
        names=names,
        encoders={modality: reference(modality, dim, makers.get(modality)) for modality, dim in dims.items()},
    )


Rows: TypeAlias = Mapping[str, list[dict[str, Any]]]
Makers: TypeAlias = Mapping[str, Mapping[str, str]]


def _read(path: Path) -> tuple[Arrays, tuple[str, ...] | None, Rows, Makers]:
    """Arrays, classes, and what a bank says of its rows, and by modality of their encoders."""
    try:
        return _safetensors(path) if path.suffix.lower() == ".safetensors" else (*_npz(path), {}, {})
    except DataError:
        raise
    except Exception as error:  # both formats raise many kinds on damaged files
        raise DataError(f"{path}: is damaged, or no file of features ({described(error)})") from error


def _npz(path: Path) -> tuple[Arrays, tuple[str, ...] | None]:
    arrays: dict[str, NDArray[Any]] = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            try:
                arrays[name] = file[name]
            except ValueError as error:
                if "pickle" not in str(error):
                    raise
                kind = f"{name}.astype(str)" if _is_named_as_labels(name) else "an array of numbers"
                raise DataError(f"{path}: {name} holds Python objects, which are not read; save it as {kind}") from None
    classes = arrays.pop(CLASSES, None)
    if classes is not None and classes.dtype.kind not in "US":
        raise DataError(f"{path}: {CLASSES} is {classes.dtype}; it should be an array of strings")
    return in_numbers(path, arrays, None if classes is None else tuple(classes.astype(str).tolist()))


def _is_named_as_labels(name: str) -> bool:
    return name == CLASSES or name.endswith(LABELS)


def _safetensors(path: Path) -> tuple[Arrays, tuple[str, ...] | None, Rows, Makers]:
    bank = Bank(path)
    arrays = {
        name: (t.float() if t.is_floating_point() else t).numpy()  # NumPy has no bfloat16
        for name, t in bank.arrays.items()
        if name != ITEMS
    }
    makers = {name.partition("_")[2]: maker for name, maker in bank.about.get("encoders", {}).items()}
    return (*in_numbers(path, arrays, bank.classes or None), bank.rows, makers)


def _parts(path: Path, name: str, *, known: Collection[str], labelled: bool) -> tuple[str | None, str]:
    word, _, modality = name.partition("_")
    split = SPLIT_WORDS.get(word.lower(), word if word == UNSPLIT or name in known else None)
    if split is None or not modality or (name not in known and renamed(modality) and not labelled):
        raise DataError(f"{path}: array {name!r} is none of the form{renamed(name)}; expected {FORM}, and {CLASSES}")
    return None if split == UNSPLIT else split, modality


def _checked(path: Path, name: str, x: NDArray[Any], y: NDArray[Any] | None) -> tuple[NDArray[np.float32], list[int]]:
    if x.ndim != 2 or x.dtype.kind not in "fiu" or not x.shape[1]:
        raise DataError(f"{path}: {name} is {x.dtype} of shape {x.shape}; it should be numbers (n, dim)")
    if y is None:
        raise DataError(f"{path}: {name} has no labels; add {name}{LABELS}")
    if y.shape != x.shape[:1] or y.dtype.kind not in "iu":
        raise DataError(f"{path}: {name}{LABELS} is {y.dtype} of shape {y.shape}; it should be integers ({len(x)},)")
    if len(y) and y.min() < -1:
        raise DataError(f"{path}: {name}{LABELS} holds {y.min()}; labels count from 0, -1 is none")
    x = x.astype(np.float32, copy=False)
    wrong = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(wrong):
        raise DataError(f"{path}: {name} has {len(wrong)} rows that are not finite (the first: {wrong[0]})")
    labels: list[int] = y.tolist()
    return x, labels
