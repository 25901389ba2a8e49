"""What ``.cls`` and ``.json`` files say of a sample, and lists of classes."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, NamedTuple, TypeVar

from xm.data import SPLIT_WORDS
from xm_datasets.webdataset.captions import Place, caption_places

_T = TypeVar("_T")

LABELS = ("label", "class")
"""The keys of a ``.json`` that may hold the class's name, its number, or one of them each."""


class FactsError(Exception):
    """What is wrong with a file."""


class Facts(NamedTuple):
    """What is known of a sample besides its items.

    Attributes:
        number: the class's, from 0; None if it is not known.
        name: the class's; "" if it is not known.
        split, group: "" if they are not given.
        tags: as of `xm.data.Sample`.
        captions: where the JSON has some.
    """

    number: int | None = None
    name: str = ""
    split: str = ""
    group: str = ""
    tags: tuple[str, ...] = ()
    captions: tuple[Place, ...] = ()


def read_facts(cls: bytes | None, table: bytes | None) -> Facts:
    """From the content of a sample's ``.cls`` and ``.json``, where there are such.

    Raises:
        FactsError: if they are not of their form, or contradict each other.
    """
    row = {} if table is None else _object(table)
    numbers: set[int] = set() if cls is None else {_number(cls)}
    names: set[str] = set()
    for key in LABELS:
        value = _value(row, key)
        if isinstance(value, int) and not isinstance(value, bool):
            numbers.add(value)
        elif value is not None:
            names |= {_words(row, key)} - {""}
    number, name = _only(numbers, "numbers"), _only(names, "names")
    if number is not None and number < -1:
        raise FactsError(f"class number {number}; they count from 0, and -1 is none")
    split = _words(row, "split")
    return Facts(
        None if number == -1 else number,
        name or "",
        SPLIT_WORDS.get(split.lower(), split),
        _words(row, "group"),
        _tags(_value(row, "tags")),
        caption_places(row),
    )


def _object(table: bytes) -> dict[str, Any]:
    try:
        row = json.loads(table)
    except ValueError as error:
        raise FactsError(f"is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise FactsError(f"a JSON object was expected, not {type(row).__name__}")
    return row


def _number(cls: bytes) -> int:
    try:
        return int(cls)
    except ValueError:
        shown = cls[:20].decode("utf-8", "replace").strip()
        raise FactsError(f"{shown!r} is no class number; names go into a .json, as 'label'") from None


def _value(row: dict[str, Any], key: str) -> Any:
    """What a key holds. Tables with gaps write 3 as 3.0, and a gap as NaN, which here is nothing."""
    value = row.get(key)
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else int(value) if value.is_integer() else value


def _words(row: dict[str, Any], key: str) -> str:
    value = _value(row, key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FactsError(f"{key!r} is a {type(value).__name__}; text or a whole number was expected")
    return str(value).strip()


def _tags(value: Any) -> tuple[str, ...]:
    """A list of words, or words with semicolons between them."""
    words = value.split(";") if isinstance(value, str) else [] if value is None else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise FactsError("'tags' is no list of words")
    return tuple(word.strip() for word in words if word.strip())


def _only(values: set[_T], what: str) -> _T | None:
    if len(values) > 1:
        raise FactsError(f"two class {what}, {' and '.join(sorted(map(repr, values)))}")
    return next(iter(values), None)


def read_classes(content: bytes, *, as_json: bool) -> tuple[str, ...]:
    """The names of a text, one a line, or of ``classes.json``, a list: the first is of class 0.

    Raises:
        FactsError: if it is not of this form, empty, or has a name twice.
    """
    try:
        names = json.loads(content) if as_json else content.decode("utf-8-sig").rstrip().splitlines()
    except ValueError as error:
        raise FactsError(f"is not {'JSON' if as_json else 'UTF-8'} ({error})") from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise FactsError('a list of class names was expected, as ["cat", "dog"]' if as_json else "a line has no name")
    stripped = [name.strip() for name in names]
    name, count = Counter(stripped).most_common(1)[0]
    if count > 1:
        numbers = " and ".join(str(number) for number, other in enumerate(stripped) if other == name)
        raise FactsError(f"{name!r} is there {count} times, for classes {numbers}; give each a name of its own")
    return tuple(stripped)
