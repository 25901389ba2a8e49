"""A dataset from rows: items by split, with paths relative to a folder of images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from xm import DataError, Dataset, Sample
from xm.data import modality_of
from xm_datasets.coop.draws import FOLDER, Found, find_draws, note_of, read_draws
from xm_datasets.coop.rows import Row, clean

log = logging.getLogger("xm.data")

_SHOWN = 3


def dataset_of(
    table: Path, root: Path, classes: tuple[str, ...], rows: Mapping[str, Sequence[Row]], suffixes: Mapping[str, str]
) -> Dataset:
    """The samples that `rows` list, and the published draws beside `table`.

    Args:
        table: what lists them, for messages; its folder holds the draws.
        root: what paths are relative to.
        classes: in the order of labels.
        rows: by split.
        suffixes: which modality each file suffix is.

    Raises:
        DataError: if not all of test is there, a file is of no known suffix, or a draw has what its split does not.
    """
    samples: list[Sample] = []
    found: Found = {}
    for split, listed in rows.items():
        for row in listed:
            sample = Sample(root / row.path, modality_at(table, row.path, suffixes), row.label, split)
            there = sample.item.is_file()
            found.setdefault((split, row.path, row.label), sample if there else None)
            if there:
                samples.append(sample)
    draws, broken = find_draws(table, read_draws(table.parent / FOLDER, root), found)
    tell_missing(table, root, found, broken)
    return Dataset(
        name=table.stem.removeprefix("split_zhou_"),
        classes=classes,
        samples=tuple(samples),
        draws=draws,
        notes=note_of(table, draws),
    )


def classes_of(table: Path, rows: Mapping[str, Sequence[Row]]) -> tuple[str, ...]:
    """Class names in the order of their labels, which are 0, 1, 2, …

    Raises:
        DataError: if labels have gaps, or labels and names don't match.
    """
    names: dict[int, str] = {}
    for split, listed in rows.items():
        for row in listed:
            name = clean(row.name)
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


def modality_at(table: Path, path: str, suffixes: Mapping[str, str]) -> str:
    """The modality of a file.

    Raises:
        DataError: if no encoder reads such files.
    """
    modality = modality_of(path, suffixes)
    if modality is None:
        known = ", ".join(sorted(suffixes)) or "no suffix; see xm plugins list"
        raise DataError(f"{table}: {path}: no encoder reads such a file (they read {known})")
    return modality


def tell_missing(table: Path, root: Path, found: Found, broken: Sequence[str]) -> None:
    """Raise for files of test that are not there, warn of others, and of the draws that need them."""
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
