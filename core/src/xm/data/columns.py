"""The columns of a manifest: what each is called here, and by the tables that people have."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from xm.data.paths import SPLIT_WORDS

COLUMNS = ("path", "text", "modality", "label", "split", "group", "pair", "tags", "source")
METADATA = "meta."
"""What the names of all other columns begin with: ``meta.language``."""

OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "path": ("file_name", "filename", "file_path", "filepath", "filepaths", "file", "fname", "img_path", "img"),
    "text": ("sentence", "caption"),
    "label": ("category", "class", "class_name", "classname", "label_name", "labels", "target"),
    "split": ("subset", "partition", "set"),
    "group": ("fold",),
}
"""Other names of columns, the first of which that a table has is taken where it has none of the name itself.

A path may also be called by the modality of its files: "image_path", "image_file", "image". "subset", "partition" and
"set" are splits where all their words are.
"""
_ONLY_WITHOUT: Mapping[str, str] = {"text": "path", "group": "split"}
"""Columns whose other names count only where there is no such other: a caption belongs to a file, and a fold is a group
(clips of one recording are in one fold of ESC-50), which given splits may cut."""


class ColumnError(Exception):
    """What is wrong with a name of a column."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


def is_column(name: str) -> bool:
    """Whether it is a column's own name, not another one."""
    return name in COLUMNS or (name.startswith(METADATA) and name != METADATA)


def given_columns(query: str) -> dict[str, str]:
    """What ``--columns`` said, from what follows the "?" of a source: column to its name in the table; "" is none.

    Raises:
        ColumnError: if one is no column.
    """
    found = dict(parse_qsl(query, keep_blank_values=True))
    for name in found:
        if not is_column(name):
            raise ColumnError(name, f"--columns {name}=…: no such column (known: {', '.join(COLUMNS)}, {METADATA}NAME)")
    return found


def columns_of(
    names: Sequence[str],
    given: Mapping[str, str],
    rows: Iterable[Mapping[str, Any]],
    modalities: Iterable[str] = (),
) -> dict[str, str]:
    """Column to the name that a table has for it.

    Args:
        names: that the table has, each once.
        given: by the user, see `given_columns`.
        rows: of the table, by its names.
        modalities: whose files are read.

    Raises:
        ColumnError: for a name that looks like a slip of a column's, or a given one that is not there.
    """
    for name in given.values():
        if name and name not in names:
            raise ColumnError(name, f"--columns: no column {name!r} (there are: {', '.join(filter(None, names))})")
    found = {name: name for name in names if is_column(name) and name not in given}
    found |= {column: name for column, name in given.items() if name}
    free = [name for name in names if name and name not in found.values()]
    rows = list(rows)
    by_modality = [f"{modality}{end}" for end in ("_path", "_file", "") for modality in sorted(modalities)]
    for column, others in {**OTHER_NAMES, "path": (*OTHER_NAMES["path"], *by_modality)}.items():
        other = next((name for wanted in others for name in free if _plain(name) == wanted), None)
        if column in found or column in given or other is None or not _takes(column, other, found, rows):
            continue
        found[column] = other
        free.remove(other)
    for name in free:
        capital = _plain(name)
        if capital in COLUMNS and capital not in found and capital not in given:
            found[capital] = name
        elif near := _slip(name, [column for column in COLUMNS if column not in found and column not in given]):
            raise ColumnError(name, f"did you mean {near!r}? (known: {', '.join(COLUMNS)}, {METADATA}NAME)")
    return found


def _plain(name: str) -> str:
    return "_".join(name.lower().replace("-", " ").replace("_", " ").split())


def _takes(column: str, name: str, found: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column by another name is what it seems."""
    if _ONLY_WITHOUT.get(column) in found:
        return False
    if column == "split":
        words = {str(row.get(name) or "").strip().lower() for row in rows} - {""}
        return bool(words) and words <= SPLIT_WORDS.keys()
    return True


def _slip(name: str, columns: Sequence[str]) -> str | None:
    """The column that a name is a slip of: a letter too many, too few, another, or two in the other order."""
    plain = _plain(name)
    if name == METADATA:
        return f"{METADATA}NAME"
    for column in difflib.get_close_matches(plain, columns, n=len(columns), cutoff=0.6):
        ratio = difflib.SequenceMatcher(None, plain, column).ratio()
        if abs(len(plain) - len(column)) <= 1 and (ratio >= 0.8 or sorted(plain) == sorted(column)):
            return column
    return None


def note_on(found: Mapping[str, str], names: Collection[str]) -> str:
    """What was taken for what, and what was passed over, in a sentence; "" if all is as it is called here."""
    taken = [f"{name} is taken for {column}" for column, name in found.items() if name != column]
    others = [name for name in names if name and name not in found.values()]
    if others:
        taken.append(f"passed over: {', '.join(others)} (to use one: --columns group={others[0]}, or another column)")
    return f"Columns: {'; '.join(taken)}." if taken else ""
