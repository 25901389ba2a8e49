"""The JSON files of CoOp and Lin et al.: an object of splits, each a list of path, label and class name."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from xm.data import SPLITS
from xm.data.paths import missing
from xm.errors import DataError

FORM = '{"train" | "val" | "test": [[path, label, class name], …]}'


class Row(NamedTuple):
    """One item of a split."""

    path: str
    label: int
    name: str


def read_rows(file: Path, needed: Collection[str]) -> dict[str, list[Row]]:
    """Split to rows, [path, label, class name] each, or, in draws from Lin et al.'s repository, an object under "data".

    Raises:
        DataError: if the file is missing, is no JSON, is not of CoOp's form or lacks a split that is `needed`.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise missing(file, "file") from None
    except OSError as error:
        raise DataError(f"{file}: can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is not UTF-8 ({error.reason} at byte {error.start})") from error
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
