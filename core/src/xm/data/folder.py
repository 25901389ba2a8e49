"""A folder of class folders as a dataset."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xm.data.naming import class_names
from xm.data.paths import SPLIT_WORDS, missing, modality_of
from xm.data.types import Dataset, Sample
from xm.foundation.errors import DataError

log = logging.getLogger("xm.data")

_LITTER = frozenset({"__MACOSX", "__pycache__"})
_SHOWN = 3


@dataclass(frozen=True)
class _Level:
    """A folder whose subfolders are classes, with what the folders above it say."""

    path: Path
    classes: tuple[str, ...]
    split: str | None = None
    modality: str | None = None


@dataclass
class _LeftOut:
    """Files that are no samples."""

    names: list[str] = field(default_factory=list)

    def note(self, root: Path) -> tuple[str, ...]:
        if not self.names:
            return ()
        shown = ", ".join(self.names[:_SHOWN]) + (", …" if len(self.names) > _SHOWN else "")
        count = "1 file" if len(self.names) == 1 else f"{len(self.names)} files"
        return (
            f"Left out {count} of {root.name}: in no class folder, or of a suffix that no encoder reads "
            f"there ({shown}).",
        )


def open_folder(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Read DIR/<class>/* or DIR/<modality>/<class>/*, either also below train/, val/ and test/.

    A level of folders holds modalities if all its names are modalities of `suffixes`, splits if all its names
    are splits (train; val, valid or validation; test) and train is one, else classes. Files are found at any
    depth below a class folder; their suffix says the modality. Class names are cleaned (`xm.data.naming`).
    Hidden files are passed over; files of other suffixes, of another modality than their modality folder, and
    outside class folders are left out and counted in a note. A class folder without a sample is left out with
    a warning. Text files are path items. Order is by name, so the same on every machine. `cache` is not used.

    Raises:
        DataError: if the folder is missing or unreadable, or has no class folder or file of a known suffix.
    """
    root = Path(source)
    if root.is_file():
        raise DataError(f"{root}: is a file; a folder with one folder per class was expected")
    if not root.is_dir():
        raise missing(root, "folder")
    left_out = _LeftOut()
    levels = _levels(root, frozenset(suffixes.values()), left_out)
    names = class_names(level.classes for level in levels)
    found: list[tuple[str, Sample]] = []
    for level in levels:
        for raw in level.classes:
            samples = list(_samples(level, raw, suffixes, left_out))
            if not samples:
                log.warning("%s: no file of a known suffix in it; the folder is left out", level.path / raw)
            found.extend((names[raw], sample) for sample in samples)
    if not found:
        raise _nothing(root, levels, suffixes)
    kept = {name for name, _ in found}
    classes = tuple(dict.fromkeys(names[raw] for raw in sorted(names) if names[raw] in kept))
    index = {name: label for label, name in enumerate(classes)}
    return Dataset(
        name=Path(os.path.abspath(root)).name or str(root),  # noqa: PTH100 - resolve would follow links
        classes=classes,
        samples=tuple(Sample(item=s.item, modality=s.modality, label=index[name], split=s.split) for name, s in found),
        notes=left_out.note(root),
    )


def _levels(root: Path, modalities: frozenset[str], left_out: _LeftOut) -> list[_Level]:
    names = _subfolders(root, left_out)
    splits = {name: SPLIT_WORDS.get(name.lower()) for name in names}
    if all(splits.values()) and "train" in splits.values():
        return [
            level
            for name, split in splits.items()
            for level in _modality_levels(root / name, _subfolders(root / name, left_out), split, modalities, left_out)
        ]
    return _modality_levels(root, names, None, modalities, left_out)


def _modality_levels(
    path: Path, names: tuple[str, ...], split: str | None, modalities: frozenset[str], left_out: _LeftOut
) -> list[_Level]:
    if names and all(name.lower() in modalities for name in names):
        levels = [_Level(path / name, _subfolders(path / name, left_out), split, name.lower()) for name in names]
    else:
        levels = [_Level(path, names, split)]
    for level in levels:
        _warn_of_words(level, modalities)
    return levels


def _warn_of_words(level: _Level, modalities: frozenset[str]) -> None:
    """Warn if half of the classes or more are words for splits or modalities: one name there is amiss."""
    words = [name for name in level.classes if name.lower() in modalities | SPLIT_WORDS.keys()]
    if words and 2 * len(words) >= len(level.classes):
        log.warning(
            "%s: %s taken for classes: not all folders there are splits (with train) or modalities (%s)",
            level.path,
            ", ".join(words),
            ", ".join(level.classes),
        )


def _entries(path: str | Path) -> list[os.DirEntry[str]]:
    """The entries of a folder by name, without hidden ones."""
    try:
        with os.scandir(path) as entries:
            visible = [e for e in entries if not e.name.startswith(".") and e.name not in _LITTER]
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error
    return sorted(visible, key=lambda entry: entry.name)


def _is(kind: Callable[[], bool]) -> bool:
    """Ask an entry whether it is a file or a folder; a link to itself is neither."""
    try:
        return kind()
    except OSError:
        return False


def _subfolders(path: Path, left_out: _LeftOut) -> tuple[str, ...]:
    """Names of the folders directly in a folder; files there are left out."""
    folders = []
    for entry in _entries(path):
        if _is(entry.is_dir):
            folders.append(entry.name)
        else:
            left_out.names.append(entry.name)
    return tuple(folders)


def _samples(level: _Level, raw: str, suffixes: Mapping[str, str], left_out: _LeftOut) -> Iterator[Sample]:
    for entry in files_below(level.path / raw):
        modality = modality_of(entry.name, suffixes)
        if modality is None or level.modality not in (None, modality) or not _is(entry.is_file):
            left_out.names.append(entry.name)
        else:
            yield Sample(item=Path(entry.path), modality=modality, split=level.split)


def files_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Files below a folder, by name, without hidden ones. Links are followed; each folder is read once: loops end."""
    return _files(folder, set())


def _files(folder: Path, seen: set[tuple[int, int]]) -> Iterator[os.DirEntry[str]]:
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for entry in _entries(folder):
        if _is(entry.is_dir):
            yield from _files(Path(entry.path), seen)
        else:
            yield entry


def _nothing(root: Path, levels: list[_Level], suffixes: Mapping[str, str]) -> DataError:
    if not any(level.classes for level in levels):
        return DataError(f"{root}: no class folders in it; put each file into a folder named after its class")
    known = ", ".join(sorted(suffixes)) or "none, because no encoder is installed; see xm plugins list"
    return DataError(f"{root}: no file of a known suffix in its class folders (known: {known})")
