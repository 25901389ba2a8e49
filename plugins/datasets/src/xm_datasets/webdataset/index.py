"""The index of a shard: its files and what they say of samples, kept in the cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xm import DataError, RunError
from xm.data import CLASS_LISTS, Member
from xm.foundation import read_json, replacing
from xm_datasets.webdataset.captions import Place
from xm_datasets.webdataset.facts import Facts, FactsError, read_classes, read_facts
from xm_datasets.webdataset.headers import members

log = logging.getLogger("xm.data")

FACTS = (".cls", ".json")
_LITTER = re.compile(r"(?:^|/)(?:\.(?!\.?/)|__MACOSX/|__pycache__/)|^__[^/]*__(?:/|$)")
"""Hidden files and folders, and those that WebDataset keeps for itself, such as ``__meta__/``."""
_FORMAT = 3
"""Of the files in the cache."""
_SHOWN = 3


@dataclass(frozen=True)
class Shard:
    """A tar.

    Attributes:
        path: where it is.
        items: the files of each sample that may be items, by key; samples in the order of their first files.
        facts: by key, of samples that have any.
        tables: the ``.json`` of samples with captions, by key.
        classes: the names in the first of `xm.data.CLASS_LISTS` that it has; () if it has none.
    """

    path: Path
    items: dict[str, list[Member]]
    facts: dict[str, Facts]
    tables: dict[str, Member]
    classes: tuple[str, ...]


def indexed(path: Path, cache: Path) -> Shard:
    """The index of a shard, from the cache if neither its size nor its time has changed since.

    Raises:
        DataError: if it is no tar that can be read, or a file in it is not of its form.
    """
    stat = path.stat()
    key = f"{_FORMAT} {os.path.abspath(path)} {stat.st_size} {stat.st_mtime_ns}"  # noqa: PTH100
    digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    file = cache / "webdataset" / f"{digest}.json"
    if os.path.lexists(file):
        try:
            return _from_plain(path, read_json(file))
        except (RunError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("%s: damaged, and made again (%s)", file, type(error).__name__)
    shard = _read(path)
    try:
        if file.is_dir():
            shutil.rmtree(file)
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(_to_plain(shard), separators=(",", ":")), encoding="ascii")
    except OSError as error:
        log.warning("%s: the index of %s can't be kept (%s)", file, path, error.strerror or error)
    return shard


def _to_plain(shard: Shard) -> dict[str, Any]:
    return {
        "items": {key: [[m.name, m.offset, m.size] for m in found] for key, found in shard.items.items()},
        "facts": shard.facts,
        "tables": {key: [m.name, m.offset, m.size] for key, m in shard.tables.items()},
        "classes": shard.classes,
    }


def _from_plain(path: Path, plain: dict[str, Any]) -> Shard:
    items = {key: [_member(path, *one) for one in found] for key, found in plain["items"].items()}
    facts = {key: _fact(*one) for key, one in plain["facts"].items()}
    tables = {key: _member(path, *one) for key, one in plain["tables"].items()}
    return Shard(path, items, facts, tables, _words(plain["classes"]))


def _member(path: Path, name: str, offset: int, size: int) -> Member:
    if not isinstance(name, str) or not _is_count(offset) or not _is_count(size):
        raise ValueError("a file's name, place and size are wanted")
    return Member(path, offset, size, name)


def _fact(number: int | None, name: str, split: str, group: str, tags: list[str], places: list[Any]) -> Facts:
    _words([name, split, group])
    found = tuple(Place(key, index) for key, index in places)
    _words([key for key, _ in found])
    if not all(one is None or _is_count(one) for one in (number, *(index for _, index in found))):
        raise ValueError("numbers are wanted")
    return Facts(number, name, split, group, _words(tags), found)


def _words(values: list[str]) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("words are wanted")
    return tuple(values)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 1 << 62


def _read(path: Path) -> Shard:
    """Index a tar: read its headers, and its small files that are no items."""
    items: dict[str, list[Member]] = {}
    known: dict[str, dict[str, Member]] = defaultdict(dict)
    classes: dict[str, Member] = {}
    for member in members(path):
        if _LITTER.search(member.name):
            continue
        folder, slash, name = member.name.removeprefix("./").rpartition("/")
        stem, _, suffixes = name.partition(".")
        key, suffix = f"{folder}{slash}{stem}", f".{suffixes.lower()}"
        if name in CLASS_LISTS:
            classes[name] = member
        elif suffix in FACTS:
            known[key][suffix] = member
        else:
            items.setdefault(key, []).append(member)
    facts = _facts(path, known)
    tables = {key: known[key][".json"] for key, one in facts.items() if one.captions}
    return Shard(path, items, facts, tables, class_list(classes))


def _facts(path: Path, known: dict[str, dict[str, Member]]) -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    wrong: list[str] = []
    for key, (cls, table) in _contents(path, known):
        try:
            found[key] = read_facts(cls, table)
        except FactsError as error:
            wrong.append(f"{' and '.join(file.name for file in known[key].values())}: {error}")
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise DataError(f"{path}: {'; '.join(wrong[:_SHOWN])}{more}")
    return found


def _contents(
    path: Path, known: dict[str, dict[str, Member]]
) -> Iterator[tuple[str, tuple[bytes | None, bytes | None]]]:
    """Each key with its ``.cls`` and ``.json``. The shard is opened once, which counts where it lies far away."""
    try:
        with path.open("rb") as shard:

            def content(file: Member | None) -> bytes | None:
                if file is None:
                    return None
                shard.seek(file.offset)
                return shard.read(file.size)

            for key, files in known.items():
                yield key, (content(files.get(".cls")), content(files.get(".json")))
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error


def class_list(files: dict[str, Member] | dict[str, Path]) -> tuple[str, ...]:
    """The names in the first of `xm.data.CLASS_LISTS` that is among these files; () if none is.

    Raises:
        DataError: if it is not of its form.
    """
    for name in CLASS_LISTS:
        if name in files:
            try:
                return read_classes(files[name].read_bytes(), as_json=name.endswith(".json"))
            except FactsError as error:
                raise DataError(f"{files[name]}: {error}") from error
            except OSError as error:
                raise DataError(f"{files[name]}: can't be read: {error.strerror or error}") from error
    return ()
