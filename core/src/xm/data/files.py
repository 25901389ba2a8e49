"""The files below a folder: one walk for all that read folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from xm.foundation.errors import DataError

LITTER = frozenset(
    {
        "__macosx",
        "__pycache__",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "$recycle.bin",
        "system volume information",
        "@eadir",
        "lost+found",
    }
)
"""What systems and file managers leave in folders, lower case, beside hidden files."""


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is hidden (``.Trash-1000``, ``._photo.png``) or one of `LITTER`."""
    return name.startswith(".") or name.lower() in LITTER


def files_below(folder: Path) -> Iterator[Path]:
    """The files below a folder at any depth, by name, without hidden ones and litter.

    Links are followed; each folder is read once, so that loops end. What is neither a file nor a folder, such as a link
    to nothing, is passed over.

    Raises:
        DataError: for a folder that can't be read.
    """
    return (Path(entry.path) for entry in entries_below(folder) if entry_is(entry.is_file))


def entries_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """As `files_below`, with what is neither file nor folder."""
    seen: set[tuple[int, int]] = set()
    pending = list(reversed(_unseen(folder, seen)))
    while pending:
        entry = pending.pop()
        if entry_is(entry.is_dir):
            pending.extend(reversed(_unseen(Path(entry.path), seen)))
        else:
            yield entry


def _unseen(folder: Path, seen: set[tuple[int, int]]) -> list[os.DirEntry[str]]:
    """The entries of a folder that was not read yet; none of one that was."""
    try:
        status = folder.stat()
    except OSError as error:
        raise DataError(f"{folder}: can't be read: {error.strerror or error}") from error
    if (status.st_dev, status.st_ino) in seen:
        return []
    seen.add((status.st_dev, status.st_ino))
    return entries_of(folder)


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """What is directly in a folder, by name, without hidden files and litter.

    Raises:
        DataError: if it can't be read.
    """
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not is_litter(entry.name)]
    except OSError as error:
        raise DataError(f"{folder}: can't be read: {error.strerror or error}") from error
    return sorted(visible, key=lambda entry: entry.name)


def entry_is(kind: Callable[[], bool]) -> bool:
    """Ask an entry whether it is a file or a folder; a link to itself is neither."""
    try:
        return kind()
    except OSError:
        return False
