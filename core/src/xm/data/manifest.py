"""A CSV or JSONL table as a dataset."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from xm.data.paths import SPLIT_WORDS, missing, modality_of
from xm.data.types import Dataset, Sample
from xm.foundation.errors import DataError

COLUMNS = ("path", "text", "modality", "label", "split", "group", "pair", "tags", "source")
METADATA = "meta."
"""What the names of all other columns begin with: ``meta.language``."""
_SHOWN = 3


class _RowError(Exception):
    """What is wrong with one row."""


def open_manifest(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Read a table with a sample per row: ``.jsonl`` has an object per line, all else is CSV with a header.

    Columns: `path` (relative to the table's folder) or `text`, one of them in each row; `modality`, which may
    be left out where the path's suffix says it (a text is of the modality of ``.txt`` files); `label`, in
    words, empty where unlabelled; `split`: train, val, test or another word ("pool"), empty where it is to be
    drawn; `group`, `pair` and `source`; `tags`, with semicolons between them; ``meta.NAME``, a sample's metadata, empty
    where it has none. Labels are taken as written, classes are in alphabetical order. `cache` is not used.

    Raises:
        DataError: naming file and lines: the first three that are wrong, and how many more.
    """
    table = Path(source)
    if not table.is_file():
        raise missing(table, "file")
    rows = _json_rows(table) if table.suffix.lower() == ".jsonl" else _csv_rows(table)
    samples: list[tuple[str, Sample]] = []
    wrong: list[str] = []
    try:
        for line, row in rows:
            try:
                samples.append(_sample(row, table.parent, suffixes))
            except _RowError as error:
                wrong.append(f"line {line}: {error}")
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: is not UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise DataError(f"{table}: can't be read: {error.strerror or error}") from error
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise DataError(f"{table}: {'; '.join(wrong[:_SHOWN])}{more}")
    if not samples:
        raise DataError(f"{table}: has no rows")
    classes = tuple(sorted({label for label, _ in samples if label}))
    index = {name: label for label, name in enumerate(classes)}
    return Dataset(
        name=table.stem,
        classes=classes,
        samples=tuple(replace(sample, label=index.get(label)) for label, sample in samples),
    )


def _csv_rows(table: Path) -> Iterator[tuple[int, Mapping[str, Any] | _RowError]]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restkey="", restval=None)
        try:
            header = reader.fieldnames
            if not header:
                raise DataError(f"{table}: is empty; its first line should name columns of {', '.join(COLUMNS)}")
            reader.fieldnames = [name.strip() for name in header]
            _check_header(table, reader.fieldnames)
            for row in reader:
                extra: Any = row.pop("", None)
                bad = _RowError(f"has {len(extra)} values more than columns") if extra else None
                yield reader.line_num, bad or row
        except csv.Error as error:
            raise DataError(f"{table}: line {reader.line_num}: {error}") from error


def _check_header(table: Path, header: list[str]) -> None:
    try:
        _check_names(header, "column")
    except _RowError as error:
        raise DataError(f"{table}: line 1: {error}") from None
    if not {"path", "text"} & set(header):
        raise DataError(f"{table}: line 1: neither a column 'path' nor 'text'")
    if len(set(header)) < len(header):
        raise DataError(f"{table}: line 1: a column is there twice")


def _check_names(names: list[str], kind: str) -> None:
    for name in names:
        if name not in COLUMNS and not (name.startswith(METADATA) and name != METADATA):
            near = difflib.get_close_matches(name.lower(), COLUMNS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise _RowError(f"unknown {kind} {name!r}: {hint}(known: {', '.join(COLUMNS)}, {METADATA}NAME)")


def _json_rows(table: Path) -> Iterator[tuple[int, Mapping[str, Any] | _RowError]]:
    with table.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, start=1):
            if text.strip():
                yield line, _json_row(text)


def _json_row(text: str) -> Mapping[str, Any] | _RowError:
    try:
        row = json.loads(text)
        if not isinstance(row, dict):
            return _RowError(f"a JSON object was expected, not {type(row).__name__}")
        _check_names(list(row), "key")
    except json.JSONDecodeError as error:
        return _RowError(f"is not JSON: {error.msg} at column {error.colno}")
    except _RowError as error:
        return error
    return row


def _sample(row: Mapping[str, Any] | _RowError, folder: Path, suffixes: Mapping[str, str]) -> tuple[str, Sample]:
    """The label in words, "" if there is none, and the sample."""
    if isinstance(row, _RowError):
        raise row
    path, text, modality, label, split, group, pair, tags, source = (_text(row, column) for column in COLUMNS)
    if path and text:
        raise _RowError("has both path and text; give one of them")
    if not path and not text:
        raise _RowError("has neither path nor text")
    sample = Sample(
        item=_file(folder, path) if path else text,
        modality=_modality(modality, path or ".txt", suffixes),
        split=SPLIT_WORDS.get(split.lower(), split) or None,
        group=group or None,
        pair=pair or None,
        tags=tuple(tag for part in tags.split(";") if (tag := part.strip())),
        metadata={
            column.removeprefix(METADATA): value
            for column in row
            if column.startswith(METADATA) and (value := _text(row, column))
        },
        source=source or None,
    )
    return label, sample


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _RowError(f"{column} is a {type(value).__name__}; text was expected")
    return str(value).strip()


def _file(folder: Path, path: str) -> Path:
    file = folder / path
    if not file.is_file():
        raise _RowError(f"{file}: no such file")
    return file


def _modality(given: str, name: str, suffixes: Mapping[str, str]) -> str:
    """The modality given, or that of the file's suffix.

    One that no encoder is of is let through, unless it looks like a slip of the pen.
    """
    known = sorted(set(suffixes.values()))
    if given:
        near = difflib.get_close_matches(given, known, n=1, cutoff=0.75)
        if given not in known and near:
            raise _RowError(f"unknown modality {given!r}: did you mean {near[0]!r}?")
        return given
    modality = modality_of(name, suffixes)
    if modality is not None:
        return modality
    what = "a text" if name == ".txt" else name
    raise _RowError(
        f"the modality of {what} is not known; name it in a column 'modality' ({', '.join(known) or 'image'})"
    )
