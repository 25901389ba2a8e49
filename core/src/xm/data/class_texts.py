"""Texts by class as files hold them: sentences, other names, definitions, languages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from xm.data.naming import clean_class_name
from xm.data.tables import Rows, one_error
from xm.foundation.errors import DataError

CLASS, TEXT, DEFINITION, ALIASES, LANGUAGE = "class", "text", "definition", "aliases", "language"
"""Columns of a table of texts."""

SAYING = {TEXT, DEFINITION, ALIASES}
"""Columns of which such a table has one at least."""

TEXTS = "texts"
"""In JSON, the key of a class's sentences where it has other keys too."""

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
"""A language's tag (BCP 47): de, pt-BR, zh-Hant."""


class Said(NamedTuple):
    """A line of what is said of classes.

    Attributes:
        name: of the class, as the file has it.
        text: a sentence, or another name of the class.
        alias: whether it is such a name.
        language: its tag; "" if the file does not say.
    """

    name: str
    text: str
    alias: bool = False
    language: str = ""


def defined(name: str, definition: str) -> str:
    """A definition as a text that can stand alone."""
    return f"{name}: {definition}"


def is_table(header: Sequence[str]) -> bool:
    """Whether a table's first row is that of texts: ``class``, and beside it columns that are known."""
    others = set(header[1:])
    return header[0] == CLASS and bool(others & SAYING) and others <= {*SAYING, LANGUAGE}


def of_table(path: Path, rows: Rows) -> Iterator[Said]:
    """What a table holds, its first row the header (`is_table`). Aliases have semicolons between them.

    Raises:
        DataError: for a row that says nothing, or has too many cells.
    """
    (_, header), *body = rows
    expected = f"expected {' and '.join(f'a {name}' for name in header[:2])}"

    def amiss(row: Sequence[str]) -> bool:
        cells = dict(zip(header, row, strict=False))
        return len(row) > len(header) or not row[0] or not any(cells.get(name) for name in SAYING)

    one_error(path, [f"line {n}: {expected}" for n, row in body if amiss(row)])
    for _, row in body:
        cells = dict(zip(header, row, strict=False))
        name, language = cells[CLASS], cells.get(LANGUAGE, "")
        for alias in filter(None, map(str.strip, cells.get(ALIASES, "").split(";"))):
            yield Said(name, alias, alias=True, language=language)
        if cells.get(DEFINITION):
            yield Said(name, defined(name, cells[DEFINITION]), language=language)
        if cells.get(TEXT):
            yield Said(name, cells[TEXT], language=language)


def of_json(path: Path) -> Iterator[Said]:
    """What a JSON file holds.

    ``{class: text or [texts]}``, or for a class an object: its keys are languages ("de"), ``texts``, ``aliases`` and
    ``definition``, its values a text or a list of texts each.

    Raises:
        DataError: if it can't be read, or is of another form.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: line {error.lineno}: is not JSON: {error.msg}") from None
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: can't be read ({error})") from error
    if not isinstance(table, dict):
        raise DataError(f"{path}: an object was expected, {{class: text or [texts]}}, not {type(table).__name__}")
    listed = {
        name: {key: _list(texts) for key, texts in (value if isinstance(value, dict) else {TEXTS: value}).items()}
        for name, value in table.items()
    }
    one_error(path, [f"{name!r}: {wrong}" for name, keyed in listed.items() for wrong in _wrong(keyed)])
    return (said for name, keyed in listed.items() for key, texts in keyed.items() for said in _said(name, key, texts))


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _wrong(keyed: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a class's texts."""
    for key, texts in keyed.items():
        if key not in (TEXTS, ALIASES, DEFINITION) and not _LANGUAGE.fullmatch(key):
            yield f"unknown key {key!r} (known: {TEXTS}, {ALIASES}, {DEFINITION}, and languages such as de)"
        elif not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            yield "a text or a list of texts was expected"
        elif not all(text.strip() for text in texts):
            yield "an empty text"


def _said(name: str, key: str, texts: Sequence[str]) -> Iterator[Said]:
    for text in texts:
        if key == DEFINITION:
            yield Said(name, defined(name, text))
        else:
            yield Said(name, text, key == ALIASES, key if key not in (TEXTS, ALIASES) else "")


def file_in(folder: Path, names: Sequence[str]) -> Path:
    """The file of a dataset in a folder of such: called by its name, or with that among the words of its name.

    Args:
        folder: of files by dataset: ``caltech-101.json``, ``cal_prompts_full.json``, ``descriptors_food101.json``.
        names: of the dataset, its own first.

    Raises:
        DataError: if there is none, or several that are not called by its own name.
    """
    files = sorted(path for path in folder.glob("*.json") if path.is_file())
    exact = [path for path in files if _plain(path.stem) == _plain(names[0])]
    wanted = set(map(_plain, names))
    found = exact or [path for path in files if wanted & {_plain(path.stem), *_words(path.stem)}]
    if not found:
        raise DataError(f"{folder}: holds no file of {names[0]}; call it {names[0]}.json, or name a file")
    if len(found) > 1:
        listed = " and ".join(path.name for path in found[:2])
        raise DataError(f"{folder}: {listed} may be of {names[0]}; call one of them {names[0]}.json, or name a file")
    return found[0]


def _words(name: str) -> list[str]:
    return re.split(r"[_\W]+", name.lower())


def _plain(name: str) -> str:
    return "".join(_words(name))


def beside_name(name: str, text: str, names: Sequence[str]) -> str:
    """A description as a sentence that names its class: itself if it does, else behind the name.

    So are Menon and Vondrick's descriptors (ICLR 2023) put: "hen, which has a red comb".

    Args:
        name: of the class.
        text: of it: a sentence ("a hen has a red comb") or a descriptor ("red comb").
        names: that a sentence may call it by.
    """
    said = clean_class_name(text).casefold()
    if any(clean_class_name(one).casefold() in said for one in names):
        return text
    first = text.split(maxsplit=1)[0].lower()
    verb = "" if first in ("has", "often", "typically", "may", "can", "is") else "is " if first in _ARTICLES else "has "
    return f"{name}, which {verb}{text}"


_ARTICLES = ("a", "an", "the", "used")
"""With which descriptors begin that say what a thing is, not what it has."""
