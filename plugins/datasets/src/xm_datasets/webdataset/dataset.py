"""Tar shards as a dataset."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from xm import DataError, Dataset, Sample
from xm.data import CLASS_LISTS, Member, modality_of
from xm_datasets.webdataset.captions import Caption
from xm_datasets.webdataset.facts import Facts
from xm_datasets.webdataset.index import FACTS, Shard, class_list, indexed
from xm_datasets.webdataset.labels import class_names
from xm_datasets.webdataset.shards import dataset_name, expanded, folders_of, split_of, unique_names

log = logging.getLogger("xm.data")

_SHOWN = 3
_UNREAD = "of suffixes that no encoder reads"
_CUT = "whose names hold a dot before the suffix, so say nothing of a sample (a.b.json is no .json of a.b)"
_COMPOUND = "beside a plainer one of the sample (1.seg.jpg beside 1.jpg)"

LeftOut = defaultdict[str, Counter[str]]
"""How many files of each suffix are no samples, by why."""


def open_shards(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Read tar shards, as WebDataset writes them: the files of one folder and name up to the first dot are a sample.

    ``.cls`` holds the class's number; ``.json`` an object with `label` and `class` (name or number), `split`, `group`
    and `tags`, of which any may be missing, captions (see `captions.py`), and others that are passed over.
    Files whose suffix is known are items, `xm.data.Member`; of one modality those with a plain suffix, if there
    are such. Captions are items where no text file is. Several items are a pair. Class names come from a file of
    `xm.data.CLASS_LISTS` in a shard or beside it, or from the samples. Without `split`, the name of the shard or else
    of its folder says it, if it is such a word. Order is that of the shards, and in them. What is in a shard is kept
    below `cache`, by the shard's path, size and time.

    Args:
        source: a tar, or a pattern of several, see `expanded`.
        suffixes: which modality each file suffix is.
        cache: for the indices.

    Raises:
        DataError: naming the shard that is missing, compressed or damaged, or the file in it that is amiss.
    """
    shards = [indexed(path, cache) for path in expanded(source)]
    left_out: LeftOut = defaultdict(Counter)
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
        notes=(*_by_name(found), *_unused(names, classes), *(_note(why, counts) for why, counts in left_out.items())),
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


def _found(shard: Shard, suffixes: Mapping[str, str], left_out: LeftOut) -> Iterator[_Items]:
    """What is in a shard; files that are left out are counted."""
    by_name, nothing = split_of(shard.path), Facts()
    for key, files in shard.items.items():
        facts = shard.facts.get(key, nothing)
        items: list[tuple[Member, str]] = []
        for file in files:
            modality = modality_of(file.name.rpartition("/")[2], suffixes)
            if modality is None:
                why = _CUT if file.suffix.lower() in FACTS else _UNREAD
                left_out[why][file.suffix or "none"] += 1
            else:
                items.append((file, modality))
        if len(items) > 1:
            items = _plainest(items, left_out)
        text = suffixes.get(".txt")
        if items and text and facts.captions and all(modality != text for _, modality in items):
            items += [(Caption.of(shard.tables[key], place), text) for place in facts.captions]
        if items:
            yield _Items(shard.path, key, items, facts, facts.split or by_name)


def _plainest(items: list[tuple[Member, str]], left_out: LeftOut) -> list[tuple[Member, str]]:
    """Of each modality the items with one suffix (1.jpg, not 1.seg.jpg), if there are such."""
    dots = [file.name.rpartition("/")[2].count(".") for file, _ in items]
    plain = {modality for (_, modality), count in zip(items, dots, strict=True) if count == 1}
    kept = []
    for (file, modality), count in zip(items, dots, strict=True):
        if count == 1 or modality not in plain:
            kept.append((file, modality))
        else:
            left_out[_COMPOUND]["." + file.name.rpartition("/")[2].partition(".")[2]] += 1
    return kept


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
        folders = dict.fromkeys(folder for shard in shards for folder in folders_of(shard.path))
        beside = ((f, {name: f / name for name in CLASS_LISTS if (f / name).is_file()}) for f in folders)
        lists = {folder: class_list(files) for folder, files in beside if files}
    for (one, listed), (other, others) in pairwise(lists.items()):
        if listed != others:
            raise DataError(f"{one} and {other} hold different lists of classes; give them one")
    return next(iter(lists.values()), ())


def _by_name(found: Sequence[_Items]) -> tuple[str, ...]:
    """A note on splits that the names of shards say; a warning where they say it for some only."""
    said = {items.shard: split_of(items.shard) for items in found if not items.facts.split}
    splits = {shard: split for shard, split in said.items() if split}
    if not splits:
        return ()
    one = next(iter(splits))
    others = [shard for shard in said if shard not in splits]
    if others:
        log.warning(
            "%s: its name says split %s, those of %d others (%s) say none, and their samples are drawn; "
            "if the word is no split there, rename the shard, or say the split in the samples' .json",
            *(one, splits[one], len(others), others[0]),
        )
    return (f"Splits of {len(splits)} of {len(said)} shards are from their names ({one.name}: {splits[one]}).",)


def _unused(names: Sequence[str], kept: Sequence[str]) -> tuple[str, ...]:
    if len(names) == len(kept):
        return ()
    return (f"Left out {len(names) - len(kept)} of {len(names)} classes: they have no sample here.",)


def _note(why: str, counts: Counter[str]) -> str:
    shown = ", ".join(f"{count} of {suffix}" for suffix, count in counts.most_common(_SHOWN))
    more = ", …" if len(counts) > _SHOWN else ""
    return f"Left out files {why}: {shown}{more}."
