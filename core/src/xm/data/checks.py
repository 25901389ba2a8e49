"""What is odd about a dataset, whichever reader opened it: labels that look alike, files that have two."""

from __future__ import annotations

import logging
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from xm.data.content import identity, item_name
from xm.data.member import File
from xm.data.types import Dataset

log = logging.getLogger("xm.data")

_SHOWN = 3
_ID = re.compile(r"(?:class )?\d+|n\d{8}")
"""A number, a reader's name for one ("class 3"), an id of WordNet."""
_SEPARATORS = (";", "|")


def looked_over(dataset: Dataset) -> Dataset:
    """The dataset, after warnings of what is odd about its labels; a note where labels look like several."""
    _warn_of_alike(dataset)
    _warn_of_two_labels(dataset)
    note = _several(dataset.classes)
    return replace(dataset, notes=(*dataset.notes, note)) if note else dataset


def _warn_of_alike(dataset: Dataset) -> None:
    """Classes that differ in capitals and blanks alone."""
    same: dict[str, list[str]] = {}
    for name in dataset.classes:
        same.setdefault(" ".join(name.replace("_", " ").split()).casefold(), []).append(name)
    found = [" and ".join(map(repr, names)) for names in same.values() if len(names) > 1]
    if found:
        what = _listed(found)
        log.warning(
            "%s: classes %s differ in capitals or blanks alone; write them alike if they are one", dataset.name, what
        )


def _warn_of_two_labels(dataset: Dataset) -> None:
    """Files that are of several classes, of which one answer can't be right."""
    labels: dict[Hashable, dict[int, str]] = {}
    for sample in dataset.samples:
        if sample.label is not None and isinstance(sample.item, File):
            labels.setdefault((identity(sample.item), sample.modality), {})[sample.label] = item_name(sample.item)
    found = [
        f"{next(iter(names.values()))} ({' and '.join(repr(dataset.classes[label]) for label in sorted(names))})"
        for names in labels.values()
        if len(names) > 1
    ]
    if found:
        count = "1 file has" if len(found) == 1 else f"{len(found)} files have"
        log.warning(
            "%s: %s several labels, of which one answer at most is right: %s", dataset.name, count, _listed(found)
        )


def _several(classes: Sequence[str]) -> str:
    """A note on labels such as "dog;cat"; "" if there is none."""
    found = [name for name in classes if any(len(list(filter(None, name.split(sign)))) > 1 for sign in _SEPARATORS)]
    if not found:
        return ""
    are = "is a class of its own" if len(found) == 1 else "are classes of their own"
    return f"An item has one label: {_listed(map(repr, found))} {are}."


def speechless(dataset: Dataset) -> str:
    """What to say before an encoder reads class names that are mostly numbers or ids; "" if they are words.

    Where the classes have descriptions, these say what they are.
    """
    ids = [name for name in dataset.classes if _ID.fullmatch(name)]
    if not ids or 2 * len(ids) < len(dataset.classes) or dataset.described:
        return ""
    return (
        f"{dataset.name}: class names such as {ids[0]!r} say nothing to an encoder that reads names; give words: "
        "in a table as labels; for a folder in a file classes.txt in it, with a line such as "
        f"'{ids[0]} tabby cat' for each class folder; or --descriptions FILE"
    )


def _listed(words: Iterable[str]) -> str:
    """The first few."""
    found = list(words)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{', '.join(found[:_SHOWN])}{more}"
