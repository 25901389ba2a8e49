"""The index of a shard: its files and what they say of samples, kept in the cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xm.data.member import Member
from xm.errors import DataError
from xm.files import replacing
from xm_webdataset.facts import Facts, FactsError, read_classes, read_facts
from xm_webdataset.headers import members

log = logging.getLogger("xm.data")

CLASSES = ("classes.json", "classes.txt")
FACTS = (".cls", ".json")
_FORMAT = 1
"""Of the files in the cache."""
_SHOWN = 3


@dataclass(frozen=True)
class Shard:
    """A tar.

    Attributes:
        path: where it is.
        items: the files of each sample that may be items, by key; samples in the order of their first files.
        facts: by key, of samples that have any.
        classes: the names in its ``classes.txt`` or ``classes.json``; () if it has none.
    """

    path: Path
    items: dict[str, list[Member]]
    facts: dict[str, Facts]
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
    try:
        return _from_plain(path, json.loads(file.read_bytes()))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("%s: damaged, and made again (%s)", file, type(error).__name__)
    shard = _read(path)
    try:
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(_to_plain(shard), separators=(",", ":")), encoding="ascii")
    except OSError as error:
        log.warning("%s: the index of %s can't be kept (%s)", file, path, error.strerror or error)
    return shard


def _to_plain(shard: Shard) -> dict[str, Any]:
    return {
        "items": {key: [[m.name, m.offset, m.size] for m in found] for key, found in shard.items.items()},
        "facts": shard.facts,
        "classes": shard.classes,
    }


def _from_plain(path: Path, plain: dict[str, Any]) -> Shard:
    items = {
        key: [Member(path, offset, size, name) for name, offset, size in found] for key, found in plain["items"].items()
    }
    facts = {
        key: Facts(number, name, split, group, tuple(tags))
        for key, (number, name, split, group, tags) in plain["facts"].items()
    }
    return Shard(path, items, facts, tuple(plain["classes"]))


def _read(path: Path) -> Shard:
    """Index a tar: read its headers, and its small files that are no items."""
    items: dict[str, list[Member]] = {}
    known: dict[str, dict[str, Member]] = defaultdict(dict)
    classes: dict[str, Member] = {}
    for member in members(path):
        folder, slash, name = member.name.removeprefix("./").rpartition("/")
        stem, _, suffixes = name.partition(".")
        key, suffix = f"{folder}{slash}{stem}", f".{suffixes.lower()}"
        if name in CLASSES:
            classes[name] = member
        elif suffix in FACTS:
            known[key][suffix] = member
        elif stem:  # hidden files have none
            items.setdefault(key, []).append(member)
    return Shard(path, items, _facts(path, known), class_list(classes))


def _facts(path: Path, known: dict[str, dict[str, Member]]) -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    wrong: list[str] = []
    for key, files in known.items():
        cls, table = (files[suffix].read_bytes() if suffix in files else None for suffix in FACTS)
        try:
            found[key] = read_facts(cls, table)
        except FactsError as error:
            wrong.append(f"{' and '.join(file.name for file in files.values())}: {error}")
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise DataError(f"{path}: {'; '.join(wrong[:_SHOWN])}{more}")
    return found


def class_list(files: dict[str, Member] | dict[str, Path]) -> tuple[str, ...]:
    """The names in the first of `CLASSES` that is among these files; () if none is.

    Raises:
        DataError: if it is not of its form.
    """
    for name in CLASSES:
        if name in files:
            try:
                return read_classes(files[name].read_bytes(), as_json=name.endswith(".json"))
            except FactsError as error:
                raise DataError(f"{files[name]}: {error}") from error
    return ()
