"""A list of class names beside class folders, whose own names are numbers or ids."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from unicodedata import normalize

log = logging.getLogger("xm.data")

CLASS_LISTS = ("classes.json", "classes.txt", "classnames.txt")
"""Files that may hold names for class folders, in the folder that holds those."""

_SEPARATORS = "\t,; :="


def listed_names(root: Path, folders: Collection[str]) -> tuple[dict[str, str], str | None]:
    """Names for class folders from the first file of `CLASS_LISTS` that is there, and the file's name.

    A line is a folder's name, a tab, comma or space, and the class's name (``n02123045 tabby cat``); or each line is a
    class's name, one for each folder in order: by number where all folders are numbers, else by name. JSON holds an
    object or a list. Names are taken as written. A list that does not fit the folders is not used, with a warning.

    Args:
        root: the folder.
        folders: the names of the class folders.

    Returns:
        Names by folder, and the file; ({}, None) if there is none that fits.
    """
    file = next((root / name for name in CLASS_LISTS if (root / name).is_file()), None)
    if file is None:
        return {}, None
    try:
        found = _names(file, folders)
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s: is not used for class names: %s", file, " ".join(str(error).split()))
        return {}, None
    absent = sorted(set(folders) - found.keys())
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        log.warning("%s: no name for folder %r%s, which keeps its own", file, absent[0], more)
    counts = Counter(found.values())
    return {raw: name if counts[name] == 1 else f"{name} ({raw})" for raw, name in found.items()}, file.name


def _names(file: Path, folders: Collection[str]) -> dict[str, str]:
    """
    Raises:
        ValueError: if they do not fit, in words.
    """
    given: Any = file.read_text(encoding="utf-8-sig")
    given = json.loads(given) if file.suffix == ".json" else [line for line in given.splitlines() if line.strip()]
    if isinstance(given, Mapping):
        named = {raw: given[raw] for raw in folders if raw in given}
    elif not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise ValueError("a list of names, or an object of folders and names, was expected")
    else:
        named = _by_folder(given, folders) or _in_order(given, folders)
    if not named or not all(isinstance(name, str) and name.strip() for name in named.values()):
        raise ValueError("it names none of the folders, or one by nothing")
    return {raw: normalize("NFC", " ".join(name.split())) for raw, name in named.items()}


def _by_folder(lines: Collection[str], folders: Collection[str]) -> dict[str, str]:
    """Where lines begin with folders' names; a line that is one names nothing anew."""
    known, lengths = set(folders), sorted({len(raw) for raw in folders}, reverse=True)
    found: dict[str, str] = {}
    for line in lines:
        for raw, rest in ((line[:length], line[length:]) for length in lengths):
            if raw in known and not (rest.strip() and rest[0] not in _SEPARATORS):
                found[raw] = rest.strip(_SEPARATORS) or raw
                break
    return found


def _in_order(lines: Collection[str], folders: Collection[str]) -> dict[str, str]:
    known = set(folders)
    odd = next((line for line in lines if not known.isdisjoint(line.split())), None)
    if odd is not None:
        raise ValueError(f"{odd!r} should begin with the folder's name: {next(iter(folders))}, a tab, and its name")
    if len(lines) != len(folders):
        raise ValueError(f"it has {len(lines)} names for {len(folders)} folders, and names no folder")
    numbers = all(raw.isdecimal() for raw in folders)
    order = sorted(folders, key=(lambda raw: (int(raw), raw)) if numbers else (lambda raw: (0, raw)))
    return dict(zip(order, lines, strict=True))
