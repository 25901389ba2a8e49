"""The reader `coop`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from xm.data import Dataset, Sample
from xm.data.paths import modality_of
from xm.errors import DataError
from xm_coop.draws import Found, note_of, open_draws
from xm_coop.rows import Row, read_rows

log = logging.getLogger("xm.data")

_SHOWN = 3


def open_coop(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Read a split file of CoOp's (Zhou et al., IJCV 2022), ``split_zhou_<Dataset>.json``.

    It is an object of train, val and test, each a list of [path, label, class name]. Paths are relative to the
    file's folder or to a folder in it, such as ``101_ObjectCategories``: the one where a first path of a split
    exists. Underscores in class names become spaces. Files of train and val that are not there are left out with
    one warning. ``few_shot/shot_<N>-seed_<S>.json`` beside it, of the same form, are published draws (Lin et al.,
    CVPR 2023). One that needs a file that is not there is left out too. `cache` is not used.

    Raises:
        DataError: if a file is not of that form, no image or not all of test is there, labels and names don't
            match, or a draw has what its split does not.
    """
    table = Path(source)
    rows = read_rows(table, needed=("train", "test"))
    classes = _classes(table, rows)
    root = _root(table, rows)
    samples: list[Sample] = []
    found: Found = {}
    for split, listed in rows.items():
        for row in listed:
            sample = Sample(root / row.path, _modality(table, row, suffixes), row.label, split)
            there = sample.item.is_file()
            found.setdefault((split, row.path, row.label), sample if there else None)
            if there:
                samples.append(sample)
    draws, broken = open_draws(table, root, found)
    _tell_missing(table, root, found, broken)
    return Dataset(
        name=table.stem.removeprefix("split_zhou_"),
        classes=classes,
        samples=tuple(samples),
        draws=draws,
        notes=note_of(table, draws),
    )


def _classes(table: Path, rows: Mapping[str, list[Row]]) -> tuple[str, ...]:
    """Class names in the order of their labels, which are 0, 1, 2, …"""
    names: dict[int, str] = {}
    for split, listed in rows.items():
        for row in listed:
            name = " ".join(row.name.replace("_", " ").split())
            if not name:
                raise DataError(f"{table}: {split}: {row.path} has a class without a name")
            if names.setdefault(row.label, name) != name:
                raise DataError(f"{table}: {split}: label {row.label} is {names[row.label]!r} and {name!r}")
    if sorted(names) != list(range(len(names))):
        wrong = next((label for label in range(len(names)) if label not in names), 0)
        raise DataError(f"{table}: labels should be 0 to {len(names) - 1}; {wrong} is missing")
    classes = tuple(names[label] for label in range(len(names)))
    twice = [name for label, name in enumerate(classes) if name in classes[:label]]
    if twice:
        raise DataError(f"{table}: two labels are called {twice[0]!r}; give one of them another name")
    return classes


def _root(table: Path, rows: Mapping[str, list[Row]]) -> Path:
    """The folder that paths are relative to."""
    folders = sorted(path for path in table.parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    firsts = [listed[0].path for listed in rows.values() if listed]
    for folder in (table.parent, *folders):
        if any((folder / first).is_file() for first in firsts):
            return folder
    names = ", ".join(folder.name for folder in folders) or "none"
    raise DataError(
        f"{table}: {firsts[0]} is neither in {table.parent} nor in a folder there ({names}); "
        "put the dataset's folder of images beside the split file"
    )


def _modality(table: Path, row: Row, suffixes: Mapping[str, str]) -> str:
    modality = modality_of(row.path, suffixes)
    if modality is None:
        known = ", ".join(sorted(suffixes)) or "no suffix; see xm plugins list"
        raise DataError(f"{table}: {row.path}: no encoder reads such a file (they read {known})")
    return modality


def _tell_missing(table: Path, root: Path, found: Found, broken: list[str]) -> None:
    """Raise for files of test, warn of others."""
    lost: dict[str, list[str]] = {}
    for (split, path, _), sample in found.items():
        if sample is None:
            lost.setdefault(split, []).append(path)
    if "test" in lost:
        raise DataError(
            f"{root / lost['test'][0]}: no such file, but {table.name} has it in test; {len(lost['test'])} files "
            "of test are missing, and it must be whole"
        )
    if lost:
        counts = " and ".join(f"{len(paths)} of {split}" for split, paths in lost.items())
        more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        draws = f"; so are the published draws that need them: {', '.join(broken[:_SHOWN])}{more}" if broken else ""
        log.warning("%s: files that are not in %s are left out: %s%s", table, root, counts, draws)
