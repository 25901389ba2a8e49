"""Where the files of a named dataset are: below the folder that the variable XM_DATA names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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


def why_absent(record: Record) -> str | None:
    """None if the dataset's folder, images and listing are where they should be; else what is not, in words."""
    try:
        folder = data_folder(record)
        existing_file(record, folder / record.listing)
        existing_folder(record, folder / record.images)
    except DataError as error:
        return str(error)
    return None


@contextmanager
def looking_below(folder: Path) -> Iterator[None]:
    """For a while datasets are looked for below this folder, as if XM_DATA named it."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


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
