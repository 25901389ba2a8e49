"""Class names in words: from the names of folders, and told apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from unicodedata import normalize

_INDEX = re.compile(
    r"""^(?:
        \d+\s+-\s+(?=\w)            # "001 - Dog bark", ESC-50
      | \d+\.(?=[^\W\d_])           # "001.ak47", Caltech-256 and CUB; "4.5mm" is no index
      | 0\d+\s*[-_.\ ]\s*(?=[^\W\d_])  # "007_bond", "01 dog": zero-padded, so a number in a list
    )""",
    re.VERBOSE,
)


def clean_class_name(folder_name: str) -> str:
    """The class in words: without a leading index, underscores as spaces, lower case.

    ``"001 - Dog bark"`` is "dog bark", ``"001.ak47"`` is "ak47", ``"yin_yang"`` is "yin yang", ``"DogBark"``
    is "dogbark". A number is taken for an index only where it is followed by " - ", by a dot and a letter, or
    is zero-padded; so "0", "007", "747-jet", "10_dogs" and "4.5mm" keep theirs. Cleaning twice changes
    nothing more.
    """
    while (shorter := _clean(folder_name)) != folder_name:
        folder_name = shorter
    return folder_name


def _clean(name: str) -> str:
    name = normalize("NFC", name)  # macOS writes "ä" in two signs
    words = " ".join(_INDEX.sub("", name.strip()).replace("_", " ").lower().split())
    return words or name


def class_names(levels: Iterable[Iterable[str]]) -> dict[str, str]:
    """Folder name to class name, for the class folders of several parents.

    Folders of different parents (modalities, splits) with equal cleaned names are one class: "image/dog_bark"
    and "audio/001 - Dog bark". Folders of one parent are never merged: if two of them clean to the same name
    ("Dog", "dog"), every folder with that cleaned name keeps its raw name, in all parents.
    """
    cleaned: dict[str, str] = {}
    contested: set[str] = set()
    for level in levels:
        seen: set[str] = set()
        for raw in level:
            name = cleaned.setdefault(raw, clean_class_name(raw))
            if name in seen:
                contested.add(name)
            seen.add(name)
    return {raw: raw if name in contested else name for raw, name in cleaned.items()}


def unique(names: Sequence[str]) -> list[str]:
    """The names, of which those that are there more than once have their numbers behind them."""
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name} (class {number})" for number, name in enumerate(names)]
