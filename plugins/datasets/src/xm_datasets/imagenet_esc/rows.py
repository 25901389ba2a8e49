"""The JSON files of CoOp and Lin et al.: an object of splits, each a list of rows that begin with, or hold, a path."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from xm import DataError
from xm_datasets.imagenet_esc.place import read_text

Paths = dict[str, list[str]]
"""Split to paths below ``imagenet/images``."""

_DRAW = re.compile(r"shot_([1-9]\d*)-seed_(\d+)\.json")


def read_draws(folder: Path, wnids: Collection[str]) -> dict[tuple[int, int], Paths]:
    """The published draws ``shot_<N>-seed_<S>.json`` in a folder, by shots and seed: what is of these classes.

    Raises:
        DataError: for a file of another form.
    """
    draws = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _DRAW.fullmatch(path.name)
        if match:
            draws[int(match[1]), int(match[2])] = _draw(path, wnids)
    return draws


def _draw(file: Path, wnids: Collection[str]) -> Paths:
    found = read_json(file)
    kept: Paths = {}
    for split in ("train", "val"):
        paths = (row_path(file, split, row).split("/")[-3:] for row in rows_of(file, found, split))
        kept[split] = ["/".join(parts) for parts in paths if len(parts) == 3 and parts[1] in wnids]
    return kept


def read_json(file: Path) -> dict[str, Any]:
    """An object.

    Raises:
        DataError: if it is none.
    """
    try:
        found = json.loads(read_text(file))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{file}: is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{file}: holds a {type(found).__name__}, not an object of splits")
    return found


def rows_of(file: Path, found: dict[str, Any], split: str) -> list[Any]:
    """The rows of a split: a list, or, in Lin et al.'s repository, an object with a list under "data".

    Raises:
        DataError: if it is neither.
    """
    rows = found.get(split, [])
    rows = rows.get("data") if isinstance(rows, dict) else rows
    if not isinstance(rows, list):
        raise DataError(f"{file}: {split} is no list of rows")
    return rows


def row_path(file: Path, split: str, row: Any) -> str:
    """The path of ``[path, label, class name]`` or of ``{"impath": path, …}``.

    Raises:
        DataError: for a row of another form.
    """
    path = row.get("impath") if isinstance(row, dict) else row[0] if isinstance(row, list) and row else None
    if not isinstance(path, str):
        raise DataError(f"{file}: {split}: {str(row)[:60]} is not [path, label, class name]")
    return path
