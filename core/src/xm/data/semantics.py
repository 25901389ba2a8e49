"""Files that say what is known of classes: texts, a matrix of attributes, or triples."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from xm.data.class_texts import CLASS, TEXT, Said, is_table, of_json, of_table
from xm.data.naming import clean_class_name
from xm.data.paths import missing
from xm.data.tables import Rows, one_error, read_rows
from xm.data.types import DESCRIPTIONS, Semantics, Triple
from xm.foundation.errors import DataError

log = logging.getLogger("xm.data")

SUFFIXES = (".json", ".csv", ".tsv", ".npz")
_SHOWN = 3


class Classes:
    """A dataset's class names, found by what a file calls them.

    As it is written, or else with both names in words, as those of folders are (`clean_class_name`): "Hot_Dog" is
    "hot dog". Where two classes would be meant, it is as written alone.

    Args:
        names: of the classes.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        words = [clean_class_name(name) for name in names]
        counts = Counter(words)
        self._written = frozenset(names)
        self._words = {word: name for word, name in zip(words, names, strict=True) if counts[word] == 1}

    def find(self, name: str) -> str | None:
        """The class, as the dataset writes it; None if it is none."""
        return name if name in self._written else self._words.get(clean_class_name(name))


def read_semantics(path: Path, classes: Sequence[str]) -> Semantics:
    """What a file says of classes.

    ``.json`` holds texts, ``{class: text or [texts]}``, or for a class an object of languages, ``texts``, ``aliases``
    and ``definition``. ``.csv`` and ``.tsv`` with the header ``class,text`` (or ``definition``, ``aliases``, and
    ``language`` beside these) hold texts, a line each; any other ``.csv`` a matrix: a header, the class in the first
    column and numbers in the others; any other ``.tsv`` triples: class, relation and concept, without a header.
    ``.npz`` holds a ``matrix`` (n, attributes), and may hold the names of its rows, ``classes`` (n), without which they
    are the dataset's in order, and of its columns, ``attributes``.

    Args:
        path: the file.
        classes: of the dataset. Of texts and triples one of them may be missing, which is warned of; not of a matrix.

    Raises:
        DataError: for a file that is missing or of no such form, naming lines; if it knows none of the classes, or, of
            a matrix, one is missing.
    """
    if not path.is_file():
        raise missing(path, "file")
    known = Classes(classes)
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _texts(path, of_json(path), known)
    if suffix == ".npz":
        return _npz(path, known)
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: of no kind that is known of classes ({', '.join(SUFFIXES)})")
    rows = _table(path)
    if is_table(rows[0][1]):
        return _texts(path, of_table(path, rows), known)
    return _triples(path, rows, known) if suffix == ".tsv" else _matrix(path, rows, known)


def read_descriptions(path: Path, classes: Sequence[str]) -> Semantics:
    """Texts by class name, for ``--descriptions``: see `read_semantics`. Names that are no class are kept.

    Raises:
        DataError: as there; and for a file that holds something else.
    """
    found = read_semantics(path, classes)
    if found.texts is None:
        raise DataError(
            f"{path}: holds {_a(found.kind)}, and texts by class are needed: JSON of {{class: [texts]}}, or a table "
            f"with the header class,text; what it holds is --semantics NAME={path}"
        )
    return found


def described(name: str, semantics: Semantics, classes: Sequence[str]) -> str:
    """What there is, in a sentence."""
    if semantics.texts is not None:
        known = sum(name in semantics.texts for name in classes)
        others = len(semantics.texts) - known
        said = f"{sum(map(len, semantics.texts.values()))} texts, of {known} of {len(classes)} classes"
        said += f" and {others} other name{'s' * (others > 1)}" if others else ""
        count, languages = sum(map(len, semantics.aliases.values())), Counter(semantics.languages.values())
        said += f"; {count} alias{'es' * (count > 1)}" if count else ""
        said += f"; {', '.join(f'{tag} ({n})' for tag, n in sorted(languages.items()))}" if languages else ""
    elif semantics.matrix is not None:
        said = f"a matrix, {semantics.matrix.shape[0]} classes x {semantics.matrix.shape[1]} attributes"
    else:
        said = f"{len(semantics.triples or ())} triples of class, relation and concept"
    return f"{name.capitalize() if name == DESCRIPTIONS else f'Semantics {name!r}'}: {said}."


def _a(kind: str) -> str:
    return "a matrix" if kind == "matrix" else kind


def _unknown(path: Path, found: Iterable[str], known: Classes) -> DataError:
    first = next(iter(found), None)
    there = (
        "is empty" if first is None else f"names none of the classes (it has {first!r}, the data {known.names[0]!r})"
    )
    return DataError(f"{path}: {there}")


def _warn_missing(path: Path, missing: Sequence[str], what: str, then: str) -> None:
    if missing:
        more = f" and {len(missing) - _SHOWN} more classes" if len(missing) > _SHOWN else ""
        log.warning("%s: no %s of %s%s; %s", path, what, ", ".join(map(repr, missing[:_SHOWN])), more, then)


def _texts(path: Path, said: Iterable[Said], known: Classes) -> Semantics:
    found: dict[str, list[str]] = {}
    aliases: dict[str, list[str]] = {}
    languages: dict[str, str] = {}
    for line in said:
        name = known.find(line.name) or line.name
        (aliases if line.alias else found).setdefault(name, []).append(line.text)
        if line.language:
            languages[line.text] = line.language
    absent = [name for name in known.names if name not in found and name not in aliases]
    if len(absent) == len(known.names):
        raise _unknown(path, (*found, *aliases), known)
    _warn_missing(path, absent, "text", "the name alone is used")
    return Semantics(
        texts={name: tuple(dict.fromkeys(texts)) for name, texts in found.items()},
        aliases={name: tuple(dict.fromkeys(names)) for name, names in aliases.items()},
        languages=languages,
    )


def _table(path: Path) -> Rows:
    rows = read_rows(path, (CLASS, TEXT))
    if not rows:
        raise DataError(f"{path}: is empty")
    return rows


def _triples(path: Path, rows: Rows, known: Classes) -> Semantics:
    one_error(
        path,
        [f"line {n}: expected class, relation and concept" for n, row in rows if len(row) != 3 or not all(row)],
    )
    found: tuple[Triple, ...] = tuple((known.find(one) or one, relation, other) for _, (one, relation, other) in rows)
    first = {one for one, _, _ in found}
    absent = [name for name in known.names if name not in first]
    if len(absent) == len(known.names):
        raise _unknown(path, (one for one, _, _ in found), known)
    _warn_missing(path, absent, "triple", "nothing is known of it")
    return Semantics(triples=found)


def _matrix(path: Path, rows: Rows, known: Classes) -> Semantics:
    (_, header), *body = rows
    if len(header) < 2:
        raise DataError(f"{path}: line {rows[0][0]}: expected a header: class, and the names of attributes")
    wrong, values = [], []
    for n, row in body:
        try:
            values.append([float(cell) for cell in row[1:]])
        except ValueError:
            cell = next(cell for cell in row[1:] if not _is_number(cell))
            wrong.append(f"line {n}: {cell!r} is no number")
            continue
        if len(row) != len(header):
            wrong.append(f"line {n}: {len(row) - 1} numbers for {len(header) - 1} attributes")
    one_error(path, wrong)
    places = [(row[0], f"line {n}") for n, row in body]
    return _by_class(path, values, places, tuple(header[1:]), known)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _npz(path: Path, known: Classes) -> Semantics:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: Mapping[str, Any] = {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise DataError(f"{path}: can't be read as .npz ({error})") from error
    matrix = arrays.get("matrix")
    if matrix is None or matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
        raise DataError(f"{path}: expected an array 'matrix' (classes, attributes) of numbers; it has: {list(arrays)}")
    names = [str(name) for name in arrays.get("classes", known.names)]
    attributes = tuple(str(name) for name in arrays.get("attributes", ()))
    if len(names) != len(matrix):
        raise DataError(f"{path}: {len(matrix)} rows for {len(names)} classes")
    if attributes and len(attributes) != matrix.shape[1]:
        raise DataError(f"{path}: {matrix.shape[1]} columns for {len(attributes)} names of attributes")
    return _by_class(path, matrix, [(name, f"row {i}") for i, name in enumerate(names)], attributes, known)


def _by_class(
    path: Path, values: Any, places: Sequence[tuple[str, str]], attributes: tuple[str, ...], known: Classes
) -> Semantics:
    """The matrix in the order of the dataset's classes.

    Args:
        values: (n, attributes).
        places: of each row the name, and where it is.
    """
    import numpy as np

    rows: dict[str, int] = {}
    wrong = []
    for i, (raw, place) in enumerate(places):
        name = known.find(raw)
        if name in rows:
            wrong.append(f"{place}: class {name!r} is there twice")
        elif name is not None:
            rows[name] = i
    one_error(path, wrong)
    if not rows:
        raise _unknown(path, (raw for raw, _ in places), known)
    absent = [name for name in known.names if name not in rows]
    if absent:
        more = f" (and {len(absent) - 1} more classes)" if len(absent) > 1 else ""
        raise DataError(f"{path}: no row of class {absent[0]!r}{more}; a matrix needs one of each class")
    matrix = np.asarray(values, dtype=np.float32)
    bad = [places[i][1] for i in range(len(matrix)) if not np.isfinite(matrix[i]).all()]
    one_error(path, [f"{place}: not finite" for place in bad])
    return Semantics(matrix=matrix[[rows[name] for name in known.names]], attributes=attributes)
