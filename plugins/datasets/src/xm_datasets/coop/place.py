"""Where the files of a named dataset are: below the folder that the variable XM_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

from xm import DataError
from xm_datasets.coop.records import Record

VARIABLE = "XM_DATA"


def data_folder(record: Record) -> Path:
    """The dataset's folder.

    Raises:
        DataError: if XM_DATA is not set or the folder is not in it.
    """
    root = os.environ.get(VARIABLE)
    if not root:
        raise _absent(record, f"${VARIABLE}/{record.folder}: no such folder, as {VARIABLE} is not set")
    return existing_folder(record, Path(root).expanduser() / record.folder)


def existing_folder(record: Record, path: Path) -> Path:
    """The path, if it is a folder.

    Raises:
        DataError: if not; it says where to get it, and how to name the folder that holds it.
    """
    if not path.is_dir():
        raise _absent(record, f"{path}: no such folder")
    return path


def existing_file(record: Record, path: Path) -> Path:
    """The path, if it is a file.

    Raises:
        DataError: as `existing_folder`.
    """
    if not path.is_file():
        raise _absent(record, f"{path}: no such file")
    return path


def _absent(record: Record, what: str) -> DataError:
    return DataError(
        f"{what}; get {record.name} as {record.url} says, then type: export {VARIABLE}=DIR, "
        f"where DIR is the folder that holds {record.folder}/"
    )
