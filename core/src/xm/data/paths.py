"""What readers of data share: the modality of a file, split words, and errors for paths that do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from xm.foundation.errors import DataError
from xm.plugins.suffixes import Suffixes

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""What a folder or a manifest may call a split, lower case, and what it is called here; see `splits_of` for "eval"."""

_EVALS = ("eval", "evaluation")


def splits_of(words: Iterable[str], where: str | Path) -> dict[str, str]:
    """Word to split, of those of some words that stand together which are `SPLIT_WORDS`, in any case.

    "eval" and "evaluation" are test; beside another word for test they are val.

    Args:
        words: such as the names of folders.
        where: they stand, for the message.

    Raises:
        DataError: if words for val and for test stand beside "eval".
    """
    keys = {word: word.strip().lower() for word in words}
    found = {word: SPLIT_WORDS[key] for word, key in keys.items() if key in SPLIT_WORDS}
    evals = [word for word in found if keys[word] in _EVALS]
    others = {split: word for word, split in found.items() if word not in evals}
    if evals and "test" in others:
        if "val" in others:
            raise DataError(
                f"{where}: what split is {evals[0]!r}, beside {others['val']!r} and {others['test']!r}? "
                "Call it as the one it belongs to, or take it out"
            )
        found |= dict.fromkeys(evals, "val")
    return found


def modality_of(name: str | Path, suffixes: Mapping[str, str]) -> str | None:
    """The modality of a file by its suffix, in any case; the longest counts (".nii.gz" before ".gz").

    Of a path, not a name alone, the file is looked at where encoders of several modalities read its suffix.

    Raises:
        PluginError: if looking fails.
    """
    parts = (name.name if isinstance(name, Path) else name).lower().split(".")
    for i in range(1, len(parts)):
        suffix = "." + ".".join(parts[i:])
        if suffix in suffixes:
            path = name if isinstance(name, Path) else None
            return suffixes.of(suffix, path) if isinstance(suffixes, Suffixes) else suffixes[suffix]
    return None


def modalities_of(suffixes: Mapping[str, str]) -> frozenset[str]:
    """Every modality of which files are read."""
    return suffixes.modalities if isinstance(suffixes, Suffixes) else frozenset(suffixes.values())


def suffixes_among(suffixes: Mapping[str, str], modalities: Collection[str]) -> Mapping[str, str]:
    """The suffixes that encoders of these modalities read, for them alone."""
    if isinstance(suffixes, Suffixes):
        return suffixes.among(modalities)
    return {suffix: modality for suffix, modality in suffixes.items() if modality in modalities}


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
