"""The files of CoOp and Lin et al.: JSON, an object of splits with lists of path, label and class name; and text."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from xm import DataError
from xm.data import SPLITS, missing

FORM = '{"train" | "val" | "test": [[path, label, class name], …]}'


class Row(NamedTuple):
    """One item of a split."""

    path: str
    label: int
    name: str


def clean(name: str) -> str:
    """A class name with spaces for underscores, as CoOp puts it into sentences."""
    return " ".join(name.replace("_", " ").split())


def read_text(file: Path) -> str:
    """A text file of a dataset.

    Raises:
        DataError: if it is missing, can't be read or is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise missing(file, "file") from None
    except OSError as error:
        raise DataError(f"{file}: can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is not UTF-8 ({error.reason} at byte {error.start})") from error


def read_lines(file: Path) -> list[tuple[int, str]]:
    """Numbers, from 1, and text of the lines that are not blank.

    Raises:
        DataError: as `read_text`.
    """
    return [(number, line.strip()) for number, line in enumerate(read_text(file).splitlines(), 1) if line.strip()]


def read_rows(file: Path, needed: Collection[str]) -> dict[str, list[Row]]:
    """Split to rows, [path, label, class name] each, or, in draws from Lin et al.'s repository, an object under "data".

    Raises:
        DataError: if the file is missing, is no JSON, is not of CoOp's form or lacks a split that is `needed`.
    """
    text = read_text(file)
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{file}: is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise _wrong(file, f"it holds a {type(found).__name__}")
    other = sorted(set(found) - set(SPLITS))
    if other:
        raise _wrong(file, f"{other[0]!r} is no split")
    lacking = [split for split in needed if not found.get(split)]
    if lacking:
        raise _wrong(file, f"it has no {lacking[0]}")
    return {split: _rows(file, split, rows) for split, rows in found.items()}


def _rows(file: Path, split: str, rows: Any) -> list[Row]:
    if isinstance(rows, dict) and isinstance(rows.get("data"), list):
        objects = [row if isinstance(row, dict) else {} for row in rows["data"]]
        rows = [[row.get(key) for key in ("impath", "label", "classname")] for row in objects]
    if not isinstance(rows, list):
        raise _wrong(file, f"{split} is a {type(rows).__name__}")
    for number, row in enumerate(rows):
        good = isinstance(row, list) and [type(value) for value in row] == [str, int, str]
        if not good:
            raise _wrong(file, f"{split}[{number}] is {str(row)[:60]}")
    return [Row(*row) for row in rows]


def _wrong(file: Path, what: str) -> DataError:
    return DataError(f"{file}: {what}; a .json file must be a split file of CoOp's (split_zhou_<Dataset>.json): {FORM}")
