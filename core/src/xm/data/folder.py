"""A folder of class folders as a dataset."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xm.data.class_list import listed_names
from xm.data.files import entries_below, entries_of, entry_is, files_below
from xm.data.naming import class_names
from xm.data.paths import SPLIT_WORDS, missing, modalities_of, modality_of, splits_of, suffixes_among
from xm.data.splits import UNLABELLED
from xm.data.types import Dataset, Sample
from xm.foundation.errors import DataError

log = logging.getLogger("xm.data")

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
    are words for splits (`SPLIT_WORDS`) and train is one, else classes. Beside splits may be a folder "unlabelled",
    whose files are of no class, at any depth. Files are found at any depth below a class folder; their suffix says the
    modality, and so does the modality folder, of what its encoders read. Class names are cleaned (`xm.data.naming`),
    or come from a list in DIR (`listed_names`).
    Hidden files and litter are passed over; files of other suffixes, of another modality than their modality folder,
    and outside class folders are left out and counted in a note. A class folder without a sample is left out with
    a warning. Text files are path items. Order is by name, so the same on every machine. `cache` is not used.

    Raises:
        DataError: if the folder is missing or unreadable, or has no class folder or file of a known suffix; or for a
            folder beside train and another split that is called as none.
    """
    root = Path(source)
    if root.is_file():
        raise DataError(f"{root}: is a file; a folder with one folder per class was expected")
    if not root.is_dir():
        raise missing(root, "folder")
    left_out = _LeftOut()
    levels = _levels(root, suffixes, left_out)
    names = class_names(level.classes for level in levels)
    listed, file = listed_names(root, names)
    names |= listed
    found: list[tuple[str, Sample]] = []
    for level in levels:
        for raw in level.classes:
            samples = list(_samples(level, raw, suffixes, left_out))
            if not samples:
                log.warning("%s: no file of a known suffix in it; the folder is left out", level.path / raw)
            found.extend((names[raw], sample) for sample in samples)
    if file in left_out.names:
        left_out.names.remove(file)
    if not found:
        raise _nothing(root, levels, suffixes)
    kept = {name for name, _ in found}
    classes = tuple(dict.fromkeys(names[raw] for raw in sorted(names) if names[raw] in kept))
    index = {name: label for label, name in enumerate(classes)}
    return Dataset(
        name=Path(os.path.abspath(root)).name or str(root),  # noqa: PTH100 - resolve would follow links
        classes=classes,
        samples=(
            *(Sample(item=s.item, modality=s.modality, label=index[name], split=s.split) for name, s in found),
            *(sample for level in levels if level.split == UNLABELLED for sample in _unlabelled(level.path, suffixes)),
        ),
        notes=(*left_out.note(root), *((f"Class names are those of {root / file}.",) if file else ())),
    )


def _levels(root: Path, suffixes: Mapping[str, str], left_out: _LeftOut) -> list[_Level]:
    names, modalities = _subfolders(root, left_out), modalities_of(suffixes)
    splits = splits_of(names, root)
    words = sorted(set(splits.values()))
    others = [name for name in names if name not in splits]
    if "train" not in words or (others and len(words) < 2):
        return _modality_levels(root, names, None, modalities, left_out)
    levels = [
        level
        for name, split in splits.items()
        for level in _modality_levels(root / name, _subfolders(root / name, left_out), split, modalities, left_out)
    ]
    for name in others:
        if name.lower() in (UNLABELLED, "unlabeled"):
            levels.append(_Level(root / name, (), UNLABELLED))
        elif next(_unlabelled(root / name, suffixes), None) is None:
            log.warning("%s: no file of a known suffix in it; the folder is left out", root / name)
        else:
            raise DataError(
                f"{root / name}: {name!r} is no word for a split, and stands beside {' and '.join(splits)}, which are "
                f"(known: {', '.join((*SPLIT_WORDS, UNLABELLED))}); rename the folder, or move it elsewhere"
            )
    return levels


def _unlabelled(folder: Path, suffixes: Mapping[str, str]) -> Iterator[Sample]:
    for path in files_below(folder):
        modality = modality_of(path, suffixes)
        if modality is not None:
            yield Sample(path, modality, split=UNLABELLED)


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
    """Warn if half of the classes or more hold words for splits or modalities: one name there is amiss."""
    said = {name: _split_in(name) for name in level.classes}
    parts = {"train"} < set(said.values()) - {None}  # "train_images" alone may be a class, not beside "test_images"
    known = modalities | SPLIT_WORDS.keys()
    words = [name for name in level.classes if name.lower() in known or (parts and said[name])]
    if words and 2 * len(words) >= len(level.classes):
        log.warning(
            "%s: %s taken for classes: not all folders there are splits (with train) or modalities (%s)",
            level.path,
            ", ".join(words),
            ", ".join(level.classes),
        )


def _split_in(name: str) -> str | None:
    """The split of a word in a name: "train_images"."""
    return next((SPLIT_WORDS[word] for word in re.findall(r"[a-z]+", name.lower()) if word in SPLIT_WORDS), None)


def _subfolders(path: Path, left_out: _LeftOut) -> tuple[str, ...]:
    """Names of the folders directly in a folder; files there are left out."""
    folders = []
    for entry in entries_of(path):
        if entry_is(entry.is_dir):
            folders.append(entry.name)
        else:
            left_out.names.append(entry.name)
    return tuple(folders)


def _samples(level: _Level, raw: str, suffixes: Mapping[str, str], left_out: _LeftOut) -> Iterator[Sample]:
    mine = suffixes if level.modality is None else suffixes_among(suffixes, {level.modality})
    for entry in entries_below(level.path / raw):
        modality = modality_of(Path(entry.path), mine) if entry_is(entry.is_file) else None
        if modality is None:
            left_out.names.append(entry.name)
        else:
            yield Sample(item=Path(entry.path), modality=modality, split=level.split)


def _nothing(root: Path, levels: list[_Level], suffixes: Mapping[str, str]) -> DataError:
    if not any(level.classes for level in levels):
        return DataError(f"{root}: no class folders in it; put each file into a folder named after its class")
    known = ", ".join(sorted(suffixes)) or "none, because no encoder is installed; see xm plugins list"
    return DataError(f"{root}: no file of a known suffix in its class folders (known: {known})")
