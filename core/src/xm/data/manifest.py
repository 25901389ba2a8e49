"""A CSV or JSONL table as a dataset."""

from __future__ import annotations

import difflib
import io
import json
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias
from unicodedata import normalize

from xm.data.columns import COLUMNS, METADATA, OTHER_NAMES, ColumnError, columns_of, given_columns, is_column, note_on
from xm.data.content import identity
from xm.data.member import File
from xm.data.paths import SPLIT_WORDS, missing, modalities_of, modality_of, splits_of
from xm.data.splits import UNLABELLED
from xm.data.tables import existing, one_error, one_line, read_rows, read_text
from xm.data.types import SPLITS, Dataset, Sample
from xm.foundation.errors import DataError

log = logging.getLogger("xm.data")

_SHOWN = 3
_KNOWN = frozenset({*COLUMNS, *(name for names in OTHER_NAMES.values() for name in names)})
_NOTHING = ("nan", "none", "null", "<na>", "n/a")
"""What programs write for nothing where it is text."""
_MAY_BE_NOTHING = ("label", "split", "group", "pair", "source")


class _RowError(Exception):
    """What is wrong with one row."""


Row: TypeAlias = Mapping[str, Any]
Found: TypeAlias = list[tuple[int, Row | _RowError]]
"""Rows by the table's own names, with their lines."""


def open_manifest(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Read a table with a sample per row: ``.jsonl`` has an object per line, all else is CSV with a header.

    CSV may be separated by commas, semicolons or tabs, in UTF-8 or UTF-16 with its mark (`xm.data.tables`).
    Columns: `path` (relative to the table's folder) or `text`, one of them in each row; `modality`, which may
    be left out where the path's suffix says it (a text is of the modality of ``.txt`` files); `label`, in
    words, empty where unlabelled; `split`: train, val, test or another word ("pool"), empty where it is to be
    drawn; `group`, `pair` and `source`; `tags`, with semicolons between them; ``meta.NAME``, a sample's metadata, empty
    where it has none. Some columns have other names, too (`OTHER_NAMES`), or ``?label=NAME&group=NAME`` behind the
    path says them; others are passed over. A note says both. Labels are taken as written, in Unicode's form NFC;
    classes are in alphabetical order. A row of a file that is there already is taken once. `cache` is not used.

    Raises:
        DataError: naming file and lines: the first three that are wrong, and how many more.
    """
    table, query = Path(source), ""
    if not table.is_file() and "?" in source:
        place, _, query = source.rpartition("?")
        table = Path(place)
    if not table.is_file():
        raise missing(table, "file")
    names, line, rows = _json_rows(table) if table.suffix.lower() == ".jsonl" else _csv_rows(table)
    columns = _columns(table, names, line, rows, query, suffixes)
    samples: list[tuple[str, Sample]] = []
    wrong: list[str] = []
    for line, row in rows:
        try:
            if found := _sample(row, columns, table.parent, suffixes):
                samples.append(found)
        except _RowError as error:
            wrong.append(f"line {line}: {error}")
    one_error(table, wrong, _SHOWN)
    if not samples:
        raise DataError(f"{table}: has no rows")
    _warn_of_nothing(table, columns, rows)
    samples, copies = _once(samples)
    splits = splits_of({sample.split for _, sample in samples if sample.split}, table)
    classes = tuple(sorted({label for label, _ in samples if label}))
    index = {name: label for label, name in enumerate(classes)}
    labelled = [(index.get(label), sample) for label, sample in samples]
    dataset = Dataset(
        name=table.stem,
        classes=classes,
        samples=tuple(
            replace(s, label=label, split=splits.get(s.split, s.split) if s.split else None) for label, s in labelled
        ),
        notes=tuple(filter(None, (one_line(note_on(columns, names)), copies))),
    )
    _check_splits(table, dataset.samples)
    return dataset


def _csv_rows(table: Path) -> tuple[list[str], int, Found]:
    rows = read_rows(table, _KNOWN)
    if not rows:
        raise DataError(f"{table}: is empty; its first line should name columns of {', '.join(COLUMNS)}")
    (line, header), *body = rows
    twice = [name for name, count in Counter(header).items() if count > 1 and name in _KNOWN]
    if twice:
        raise DataError(f"{table}: line {line}: a column is there twice: {twice[0]!r}")
    found: Found = []
    for number, cells in body:
        extra = [cell for cell in cells[len(header) :] if cell]
        bad = _RowError(f"has {len(extra)} values more than columns") if extra else None
        found.append((number, bad or dict(zip(header, cells, strict=False))))
    return list(dict.fromkeys(filter(None, header))), line, found


def _json_rows(table: Path) -> tuple[list[str], int, Found]:
    lines = enumerate(io.StringIO(read_text(table), newline=None), start=1)
    found: Found = [(line, _json_row(text)) for line, text in lines if text.strip()]
    rows = (row for _, row in found if not isinstance(row, _RowError))
    return list(dict.fromkeys(name for row in rows for name in row)), 1, found


def _json_row(text: str) -> Row | _RowError:
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        return _RowError(f"is not JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
        return _RowError(f"is not JSON that can be read: {error}")
    return row if isinstance(row, dict) else _RowError(f"a JSON object was expected, not {type(row).__name__}")


def _columns(
    table: Path, names: Sequence[str], line: int, rows: Found, query: str, suffixes: Mapping[str, str]
) -> dict[str, str]:
    """Column to its name in the table."""
    good = [(number, row) for number, row in rows if not isinstance(row, _RowError)]
    try:
        found = columns_of(names, given_columns(query), (row for _, row in good), modalities_of(suffixes))
    except ColumnError as error:
        if str(error).startswith("--"):
            raise DataError(f"{table}: {error}") from None
        kind = "key" if table.suffix.lower() == ".jsonl" else "column"
        if kind == "key":
            line = next(number for number, row in good if error.name in row)
        raise DataError(f"{table}: line {line}: unknown {kind} {error.name!r}: {error}") from None
    if (good or (names and not rows)) and not {"path", "text"} & found.keys():
        there = one_line(", ".join(names)) or "none"
        likely = next((name for name in difflib.get_close_matches("path", names, n=1, cutoff=0.5)), "NAME")
        raise DataError(
            f"{table}: line {line}: neither a column 'path' nor 'text' (there are: {there}); say which it is: "
            f"--columns path={one_line(likely)}"
        )
    return found


def _sample(
    row: Row | _RowError, columns: Mapping[str, str], folder: Path, suffixes: Mapping[str, str]
) -> tuple[str, Sample] | None:
    """The label in words, "" if there is none, and the sample; None of a row with nothing in it."""
    if isinstance(row, _RowError):
        raise row
    cells = {column: value for column, name in columns.items() if (value := _text(row.get(name), column))}
    if not cells:
        return None
    path, text = cells.get("path", ""), cells.get("text", "")
    if path and text:
        raise _RowError("has both path and text; give one of them")
    if not path and not text:
        raise _RowError("has neither path nor text")
    file = _file(folder, path) if path else None
    sample = Sample(
        item=file or text,
        modality=_modality(cells.get("modality", ""), file or ".txt", suffixes),
        split=cells.get("split"),
        group=cells.get("group"),
        pair=cells.get("pair"),
        tags=tuple(tag for part in cells.get("tags", "").split(";") if (tag := part.strip())),
        metadata={c.removeprefix(METADATA): v for c, v in cells.items() if c not in COLUMNS and is_column(c)},
        source=cells.get("source"),
    )
    return normalize("NFC", cells.get("label", "")), sample


def _text(value: Any, column: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _RowError(f"{column} is a {type(value).__name__}; text was expected")
    try:
        text = str(value).strip()
        text.encode()
    except ValueError:  # half of a pair of UTF-16, or a number of thousands of digits
        raise _RowError(f"{column} is no text") from None
    return text


def _file(folder: Path, path: str) -> Path:
    file = existing(folder, path)
    if file is None:
        raise _RowError(f"{folder / path}: no such file")
    return file


def _modality(given: str, name: Path | str, suffixes: Mapping[str, str]) -> str:
    """The modality given, or that of the file's suffix.

    One that no encoder is of is let through, unless it looks like a slip of the pen.
    """
    known = sorted(modalities_of(suffixes))
    if given:
        near = difflib.get_close_matches(given, known, n=1, cutoff=0.75)
        if given not in known and near:
            raise _RowError(f"unknown modality {given!r}: did you mean {near[0]!r}?")
        return given
    modality = modality_of(name, suffixes)
    if modality is not None:
        return modality
    what = "a text" if name == ".txt" else Path(name).name
    raise _RowError(
        f"the modality of {what} is not known; name it in a column 'modality' ({', '.join(known) or 'image'})"
    )


def _once(samples: Sequence[tuple[str, Sample]]) -> tuple[list[tuple[str, Sample]], str]:
    """Without rows that say the same of the same file as one before, and a note if there are such."""
    kept: dict[Any, tuple[str, Sample]] = {}
    for i, (label, s) in enumerate(samples):
        said = (identity(s.item), s.modality, label, s.split, s.group, s.pair, s.tags, s.source, *s.metadata.items())
        kept.setdefault(said if isinstance(s.item, File) else i, (label, s))
    count = len(samples) - len(kept)
    return list(kept.values()), f"Taken once: {count} rows that say again what one before does." if count else ""


def _warn_of_nothing(table: Path, columns: Mapping[str, str], rows: Found) -> None:
    """Cells that may have been meant to be empty."""
    for column in _MAY_BE_NOTHING:
        cells = (row.get(columns.get(column, column)) for _, row in rows if not isinstance(row, _RowError))
        found = Counter(cell.strip() for cell in cells if isinstance(cell, str) and cell.strip().lower() in _NOTHING)
        for word, count in found.items():
            log.warning(
                "%s: %d %s of the %s %r; if that says that there is none, leave the cell empty",
                *(table, count, "row is" if count == 1 else "rows are", column, word),
            )


def _check_splits(table: Path, samples: Iterable[Sample]) -> None:
    """Rows of splits that are neither learned from nor scored.

    Raises:
        DataError: for a word that looks like a slip of the pen.
    """
    others = Counter(s.split for s in samples if s.split is not None and s.split not in (*SPLITS, UNLABELLED))
    for word, count in others.items():
        near = difflib.get_close_matches(word.lower(), SPLIT_WORDS, n=1, cutoff=0.75)
        if near:
            raise DataError(f"{table}: unknown split {word!r}: did you mean {near[0]!r}? ({', '.join(SPLIT_WORDS)})")
        rows = "1 row is" if count == 1 else f"{count} rows are"
        log.warning("%s: %s of split %r, so neither learned from nor scored", table, rows, word)
