"""Where the files are: below the folder that the variable XM_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

from xm import DataError

VARIABLE = "XM_DATA"

COOP = "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md"

PAGES = {
    "imagenet": f"{COOP}#imagenet",
    "caltech-101": f"{COOP}#caltech101",
    "esc-50": "https://github.com/linzhiqiu/cross_modal_adaptation/blob/main/DATASETS.md#esc-50",
    "esc-10": "https://github.com/karolpiczak/ESC-10",
}
"""Folder below XM_DATA to the page that says how to get what is in it."""


def source_folder(name: str) -> Path:
    """The folder of one of `PAGES`.

    Raises:
        DataError: if XM_DATA is not set or the folder is not in it.
    """
    root = os.environ.get(VARIABLE)
    if not root:
        raise _absent(f"${VARIABLE}/{name}: no such folder, as {VARIABLE} is not set", name)
    return existing_folder(name, Path(root).expanduser() / name)


def existing_folder(name: str, path: Path) -> Path:
    """The path, if it is a folder.

    Raises:
        DataError: if not; it says where to get what belongs there.
    """
    if not path.is_dir():
        raise _absent(f"{path}: no such folder", name)
    return path


def existing_file(name: str, path: Path) -> Path:
    """The path, if it is a file.

    Raises:
        DataError: as `existing_folder`.
    """
    if not path.is_file():
        raise _absent(f"{path}: no such file", name)
    return path


def files_in(name: str, folder: Path) -> list[Path]:
    """The files in a folder, by name, without hidden ones.

    Raises:
        DataError: if the folder is missing, can't be read or holds none.
    """
    found = sorted(entry.name for entry in _visible(existing_folder(name, folder)) if entry.is_file())
    if not found:
        raise _absent(f"{folder}: holds no file", name)
    return [folder / file for file in found]


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, by name, without hidden ones.

    Raises:
        DataError: if it can't be read.
    """
    return [folder / name for name in sorted(entry.name for entry in _visible(folder) if entry.is_dir())]


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder}: can't be read: {error.strerror or error}") from error


def read_text(file: Path) -> str:
    """A text file of a dataset.

    Raises:
        DataError: if it can't be read or is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{file}: can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is not UTF-8 ({error.reason} at byte {error.start})") from error


def _absent(what: str, name: str) -> DataError:
    return DataError(
        f"{what}; get {name} as {PAGES[name]} says, then type: export {VARIABLE}=DIR, "
        f"where DIR is the folder that holds {name}/"
    )
