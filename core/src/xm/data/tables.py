"""Tables of cells: text in the encodings and with the separators that programs write."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeAlias

from xm.foundation.errors import DataError

Rows: TypeAlias = list[tuple[int, list[str]]]
"""Rows of a table with the numbers of their last lines, from 1; rows with nothing in them are left out."""

_SEPARATORS = (",", ";", "\t")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """A file's text: UTF-8, or UTF-16 with its mark at the beginning, as Excel writes "Unicode text".

    Raises:
        DataError: if it can't be read, or is no such text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
        raise DataError(
            f"{path}: is not {name} ({error.reason} at byte {error.start}); save it as UTF-8 (Excel: CSV UTF-8)"
        ) from error
    if "\0" in text:
        raise DataError(f"{path}: holds zero bytes, as UTF-16 without its mark does; save it as UTF-8")
    return text


def read_rows(path: Path, known: Collection[str] = ()) -> Rows:
    """The rows of a table, cells without blanks around them, without empty columns behind those of the first row.

    Columns are separated by commas, semicolons or tabs, as the first row says: the separator by which it holds most of
    the known names, then most cells; else tabs in a ``.tsv``, and commas. A first line ``sep=;`` says it too.

    Args:
        path: the table.
        known: names of columns that the first row may hold, lower case.

    Raises:
        DataError: if it can't be read.
    """
    text = read_text(path)
    first, _, rest = text.partition("\n")
    said = first.strip().strip('"')
    line = 0
    if said.lower().startswith("sep=") and len(said) <= 5:
        text, line = rest, 1
        separator = said[4:] or "\t"  # blanks around it were taken away
    else:
        separator = _separator(text, path, known)
    rows: Rows = []
    width = 0  # of the first row
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            while cells and not cells[-1] and len(cells) > width:  # columns that were emptied
                cells.pop()
            if any(cells):
                width = width or len(cells)
                rows.append((reader.line_num + line, cells))
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num + line}: {error}") from error
    return rows


def _separator(text: str, path: Path, known: Collection[str]) -> str:
    tabs = path.suffix.lower() == ".tsv"
    likely = ("\t", ",", ";") if tabs else _SEPARATORS
    headers = {separator: _first_row(text, separator) for separator in likely}
    if tabs and len(headers["\t"]) > 1:
        return "\t"
    return max(likely, key=lambda separator: _fit(headers[separator], known))


def _first_row(text: str, separator: str) -> list[str]:
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        return next((row for row in rows if any(map(str.strip, row))), [])
    except csv.Error:
        return []


def _fit(header: Sequence[str], known: Collection[str]) -> tuple[int, int]:
    return sum(cell.strip().lower() in known for cell in header), len(header)


def one_error(where: Path, wrong: Sequence[str], shown: int = 3) -> None:
    """Raise what is wrong with a file: the first few, and how many more; nothing if nothing is.

    Raises:
        DataError: in one line.
    """
    if wrong:
        more = f"; and {len(wrong) - shown} more" if len(wrong) > shown else ""
        raise DataError(f"{where}: {'; '.join(map(one_line, wrong[:shown]))}{more}")


def one_line(text: str) -> str:
    """A text of which a cell may be a part, in one line that can be printed."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if text.splitlines() in ([], [text]) else " ".join(text.split())


def existing(folder: Path, path: str) -> Path | None:
    """The file that a table in a folder names, also with backslashes as on Windows; None if there is none."""
    for name in dict.fromkeys((path, path.replace("\\", "/"))):
        try:
            if (folder / name).is_file():
                return folder / name
        except (OSError, ValueError):  # no name that a file could have
            continue
    return None
