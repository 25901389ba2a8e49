"""Images in one folder a class, listed by name alone: no file is looked at, as there may be a million."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from xm import DataError
from xm_datasets.coop.listed import modality_at

_SHOWN = 3


def class_folders(parent: Path, keys: Mapping[str, int], listing: Path, *, whole: bool) -> dict[str, int]:
    """The folders of classes in a folder, by name, with labels. Files and hidden folders beside them don't count.

    Args:
        keys: what a class's folder is called, and its label.
        listing: the file that names the classes, for messages.
        whole: every class must have one.

    Raises:
        DataError: if there is none, one is of no class, or, with `whole`, a class has none.
    """
    with os.scandir(parent) as entries:
        names = {entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()}
    like = ", ".join(islice(keys, _SHOWN))
    if not names:
        raise DataError(f"{parent}: no folders in it; put each image into its class's folder ({like}, …)")
    strange = sorted(names - set(keys))
    if strange:
        raise DataError(f"{parent / strange[0]}: {listing} has no such class (folders are called {like}, …)")
    absent = [key for key in keys if key not in names]
    if absent and whole:
        raise DataError(
            f"{parent / absent[0]}: no such folder, but {listing} has this class; {len(absent)} of {len(keys)} "
            "classes have no folder, and all must have one"
        )
    return {key: label for key, label in keys.items() if key in names}


def class_files(folder: Path, suffixes: Mapping[str, str]) -> Iterator[tuple[str, Path, str]]:
    """Name, path and modality of what a class's folder holds, by name, without hidden files.

    Raises:
        DataError: if the folder is empty, or a file is of no known suffix.
    """
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - of a million files
    if not names:
        raise DataError(f"{folder}: no image in it")
    start = f"{folder}{os.sep}"
    for name in names:
        yield name, Path(start + name), modality_at(folder, name, suffixes)
