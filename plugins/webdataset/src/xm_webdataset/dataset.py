"""Tar shards as a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from xm.data.member import Member
from xm.data.paths import modality_of
from xm.data.types import Dataset, Sample
from xm.errors import DataError
from xm_webdataset.facts import Facts
from xm_webdataset.index import CLASSES, Shard, class_list, indexed
from xm_webdataset.labels import class_names
from xm_webdataset.shards import dataset_name, expanded, split_of, unique_names

_SHOWN = 3


def open_shards(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Read tar shards, as WebDataset writes them: the files of one folder and name up to the first dot are a sample.

    ``.cls`` holds the class's number; ``.json`` an object with `label` and `class` (name or number), `split`, `group`
    and `tags`, of which any may be missing, and others that are passed over. All files whose suffix is known are
    items, `xm.data.member.Member`, and if there are several they are a pair. Class names come from ``classes.json`` or
    ``classes.txt`` in a shard or beside it, or from the samples. Without `split`, the shard's name says it, if it has
    such a word. Order is that of the shards, and in them. What is in a shard is kept below `cache`, by the shard's
    path, size and time.

    Args:
        source: a tar, or a pattern of several, see `expanded`.
        suffixes: which modality each file suffix is.
        cache: for the indices.

    Raises:
        DataError: naming the shard that is missing, compressed or damaged, or the file in it that is amiss.
    """
    shards = [indexed(path, cache) for path in expanded(source)]
    left_out: Counter[str] = Counter()
    found = [items for shard in shards for items in _found(shard, suffixes, left_out)]
    if not found:
        known = ", ".join(sorted(suffixes)) or "none, because no encoder is installed; see xm plugins list"
        raise DataError(f"{source}: no file of a known suffix in it (known: {known})")
    class_of, names = class_names({items.where: items.facts for items in found}, _class_list(shards))
    used = set(class_of.values())
    classes = tuple(name for name in names if name in used)
    label_of: dict[str | None, int] = {name: label for label, name in enumerate(classes)}
    shard_names = dict(zip((shard.path for shard in shards), unique_names([s.path for s in shards]), strict=True))
    return Dataset(
        name=dataset_name([shard.path for shard in shards]),
        classes=classes,
        samples=tuple(
            sample
            for items in found
            for sample in _samples(items, label_of.get(class_of.get(items.where)), shard_names[items.shard])
        ),
        notes=(*_unused(names, classes), *_note(left_out)),
    )


class _Items(NamedTuple):
    """The items of one key, each with its modality, and what is known of them."""

    shard: Path
    key: str
    files: list[tuple[Member, str]]
    facts: Facts
    split: str | None

    @property
    def where(self) -> str:
        return f"{self.shard}/{self.key}"


def _found(shard: Shard, suffixes: Mapping[str, str], left_out: Counter[str]) -> Iterator[_Items]:
    """What is in a shard; files of unknown suffixes are counted."""
    by_name, nothing = split_of(shard.path), Facts()
    for key, files in shard.items.items():
        facts = shard.facts.get(key, nothing)
        items: list[tuple[Member, str]] = []
        for file in files:
            modality = modality_of(file.name.rpartition("/")[2], suffixes)
            if modality is None:
                left_out[file.suffix or "none"] += 1
            else:
                items.append((file, modality))
        if items:
            yield _Items(shard.path, key, items, facts, facts.split or by_name)


def _samples(items: _Items, label: int | None, shard: str) -> Iterator[Sample]:
    facts = items.facts
    pair = f"{shard}/{items.key}" if len(items.files) > 1 else None
    for file, modality in items.files:
        yield Sample(file, modality, label, items.split, facts.group or None, pair, facts.tags)


def _class_list(shards: list[Shard]) -> tuple[str, ...]:
    """The list of classes in the shards, or beside them; () if there is none.

    Raises:
        DataError: if there are different ones.
    """
    lists = {shard.path: shard.classes for shard in shards if shard.classes}
    if not lists:
        folders = dict.fromkeys(shard.path.parent for shard in shards)
        beside = ((f, {name: f / name for name in CLASSES if (f / name).is_file()}) for f in folders)
        lists = {folder: class_list(files) for folder, files in beside if files}
    for (one, listed), (other, others) in pairwise(lists.items()):
        if listed != others:
            raise DataError(f"{one} and {other} hold different lists of classes; give them one")
    return next(iter(lists.values()), ())


def _unused(names: Sequence[str], kept: Sequence[str]) -> tuple[str, ...]:
    if len(names) == len(kept):
        return ()
    return (f"Left out {len(names) - len(kept)} of {len(names)} classes: they have no sample here.",)


def _note(left_out: Counter[str]) -> tuple[str, ...]:
    if not left_out:
        return ()
    shown = ", ".join(f"{count} of {suffix}" for suffix, count in left_out.most_common(_SHOWN))
    more = ", …" if len(left_out) > _SHOWN else ""
    return (f"Left out files of suffixes that no encoder reads: {shown}{more}.",)
