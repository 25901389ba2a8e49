"""What readers of data share: the modality of a file, split words, and errors for paths that do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from xm.foundation.errors import DataError

SPLIT_WORDS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What a folder or a manifest may call a split, lower case, and what it is called here."""


def modality_of(name: str, suffixes: Mapping[str, str]) -> str | None:
    """The modality of a file by its suffix, in any case; the longest counts (".nii.gz" before ".gz")."""
    parts = name.lower().split(".")
    for i in range(1, len(parts)):
        modality = suffixes.get("." + ".".join(parts[i:]))
        if modality is not None:
            return modality
    return None


def missing(path: Path, kind: str) -> DataError:
    """The error for a path that does not exist; it names the nearest one that does, if any is near."""
    first = path
    while not first.parent.exists() and first.parent != first:
        first = first.parent
    try:
        siblings = sorted(sibling.name for sibling in first.parent.iterdir())
    except OSError:
        siblings = []
    near = difflib.get_close_matches(first.name, siblings, n=1, cutoff=0.5)
    where = "" if first == path else f" ({first} is missing)"
    hint = f"; did you mean {first.parent / near[0]}?" if near else ""
    return DataError(f"{path}: no such {kind}{where}{hint}")
