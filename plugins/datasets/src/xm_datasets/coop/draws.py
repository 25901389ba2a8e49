"""Published few-shot draws beside a dataset's listing: ``few_shot/shot_<N>-seed_<S>.json``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from xm import DataError, Sample
from xm_datasets.coop.rows import Row, read_rows

FOLDER = "few_shot"

_NAME = re.compile(r"shot_([1-9]\d*)-seed_(\d+)\.json")

Found = dict[tuple[str, str, int], Sample | None]
"""Split, path and label to the sample; None if its file is not there."""
Draws = dict[tuple[int, int], dict[str, tuple[Sample, ...]]]
"""Shots and seed to split to samples."""


class Published(NamedTuple):
    """A draw as published."""

    file: Path
    rows: Mapping[str, list[Row]]


def read_draws(folder: Path, root: Path) -> dict[tuple[int, int], Published]:
    """The draws in a folder by shots and seed, with paths relative to the root of the images.

    Paths are as in the split file, or, as Lin et al. write them, with folders before them that end in the root's name:
    ``./data/caltech-101/101_ObjectCategories/ant/image_0003.jpg``.

    Raises:
        DataError: for a draw of another form.
    """
    return {key: Published(file, _relative(_read(file), root)) for key, file in _files(folder)}


def drawn(folder: Path) -> set[tuple[int, int]]:
    """Shots and seeds of the draws in a folder, by the names of its files; nothing is read."""
    return {key for key, _ in _files(folder)}


def find_draws(table: Path, published: Mapping[tuple[int, int], Published], found: Found) -> tuple[Draws, list[str]]:
    """The draws in samples, and the file names of those that need an item whose file is not there.

    Raises:
        DataError: for a draw with an item that its split does not have.
    """
    draws: Draws = {}
    broken: list[str] = []
    for key, (file, rows) in published.items():
        drawn = {split: _items(table, file, split, listed, found) for split, listed in rows.items()}
        draw = {split: tuple(sample for sample in items if sample) for split, items in drawn.items()}
        if all(len(draw[split]) == len(items) for split, items in drawn.items()):
            draws[key] = draw
        else:
            broken.append(file.name)
    return draws, broken


def note_of(table: Path, draws: Draws) -> tuple[str, ...]:
    """Which draws there are, in words."""
    if not draws:
        return ()
    seeds: dict[int, list[int]] = {}
    for shots, seed in draws:
        seeds.setdefault(shots, []).append(seed)
    alike: dict[str, list[int]] = {}
    for shots, listed in seeds.items():
        alike.setdefault(_listed(listed), []).append(shots)
    which = "; ".join(f"shots {_listed(shots)} with seeds {listed}" for listed, shots in alike.items())
    return (f"Published draws ({FOLDER}/ beside {table.name}), used as they are: {which}. Others are drawn here.",)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _files(folder: Path) -> list[tuple[tuple[int, int], Path]]:
    """Shots and seed, and the file, in order."""
    matches = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(((int(match[1]), int(match[2])), path) for match, path in matches if match)


def _read(file: Path) -> Mapping[str, list[Row]]:
    rows = read_rows(file, needed=("train",))
    if "test" in rows:
        raise DataError(f"{file}: has a test; a published draw is of train and val")
    return rows


def _relative(rows: Mapping[str, list[Row]], root: Path) -> dict[str, list[Row]]:
    above = f"/{root.absolute().name}/"
    return {
        split: [row._replace(path=row.path.rpartition(above)[2]) for row in listed] for split, listed in rows.items()
    }


def _items(table: Path, file: Path, split: str, rows: Iterable[Row], found: Found) -> list[Sample | None]:
    keys = [(split, row.path, row.label) for row in rows]
    for key in keys:
        if key not in found:
            raise DataError(f"{file}: {key[1]} with label {key[2]} is not in {split} of {table.name}")
    return [found[key] for key in keys]
