"""ImageNet (ILSVRC 2012) in CoOp's layout, with the val of Lin et al."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from xm import DataError, Dataset, Sample
from xm_datasets.coop.classnames import read_classnames
from xm_datasets.coop.draws import FOLDER, Found, Published, find_draws, note_of, read_draws
from xm_datasets.coop.folders import class_files, class_folders
from xm_datasets.coop.listed import tell_missing
from xm_datasets.coop.place import data_folder, existing_file, existing_folder
from xm_datasets.coop.records import RECORDS
from xm_datasets.coop.rows import read_rows
from xm_datasets.coop.templates import named

SPLIT = "split_ImageNet.json"
"""Lin et al.'s: a fifth of train is val."""

Key = tuple[str, str, int]
"""Split, path below ``images/``, label."""


def open_imagenet(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Open ImageNet below XM_DATA: ``imagenet/images/{train,val}/<WordNet id>/`` and ``imagenet/classnames.txt``.

    Its val is the test split. Val is what ``split_ImageNet.json`` and the published draws in ``few_shot/`` have as val,
    all of it in ``images/train``; without them there is none, and tasks take theirs from train. Files are listed, not
    looked at: 1.3 million take seconds. `cache` is not used.

    Raises:
        DataError: if a file or class folder is missing or does not fit, or XM_DATA is not set.
    """
    record = RECORDS[source]
    folder = data_folder(record)
    listing = existing_file(record, folder / record.listing)
    root = existing_folder(record, folder / record.images)
    names = read_classnames(listing)
    labels = {wnid: label for label, wnid in enumerate(names)}
    published = read_draws(folder / FOLDER, root)
    given = _given(folder / SPLIT, labels)
    found: Found = dict.fromkeys([*given, *_drawn(published, labels)])
    held = {path for split, path, _ in found if split == "val"}
    parts = {part: existing_folder(record, root / part) for part in ("train", "val")}
    samples: list[Sample] = []
    for key, sample in _samples(parts, labels, listing, held, suffixes):
        samples.append(sample)
        if key in found:
            found[key] = sample
    draws, broken = find_draws(listing, published, found)
    tell_missing(folder / SPLIT if given else listing, root, found, broken)
    notes = (_note(bool(given), bool(held)), *note_of(listing, draws))
    return named(record, Dataset(record.name, tuple(names.values()), tuple(samples), draws=draws, notes=notes))


def _given(file: Path, labels: Mapping[str, int]) -> list[Key]:
    """Val and test of Lin et al.'s split file; nothing if there is none."""
    rows = read_rows(file, needed=("val", "test")) if file.exists() else {}
    keys = [(split, row.path, row.label) for split in ("val", "test") for row in rows.get(split, ())]
    wrong = next((key for key in keys if not _fits(key, labels)), None)
    if wrong:
        raise DataError(f"{file}: {wrong[1]} has label {wrong[2]}; labels are the order of the WordNet ids of classes")
    return keys


def _drawn(published: Mapping[tuple[int, int], Published], labels: Mapping[str, int]) -> Iterator[Key]:
    """The items of draws, but for those with a wrong label."""
    for draw in published.values():
        for split, rows in draw.rows.items():
            keys = ((split, row.path, row.label) for row in rows)
            yield from (key for key in keys if _fits(key, labels))


def _fits(key: Key, labels: Mapping[str, int]) -> bool:
    """Whether the label is that of the class's folder."""
    return labels.get(key[1].rpartition("/")[0].rpartition("/")[2]) == key[2]


def _samples(
    parts: Mapping[str, Path],
    labels: Mapping[str, int],
    listing: Path,
    held: Collection[str],
    suffixes: Mapping[str, str],
) -> Iterator[tuple[Key, Sample]]:
    """Train and val (the paths in `held`) from ``train/``, then test from ``val/``."""
    for part, rest in (("train", "train"), ("val", "test")):
        for wnid, label in class_folders(parts[part], labels, listing, whole=True).items():
            for name, item, modality in class_files(parts[part] / wnid, suffixes):
                path = f"{part}/{wnid}/{name}"
                split = "val" if part == "train" and path in held else rest
                yield (split, path, label), Sample(item, modality, label, split)


def _note(given: bool, held: bool) -> str:
    source = f"what {SPLIT} says" if given else "what the published draws have" if held else "taken from train by task"
    return f"Test is ImageNet's official val; val is {source}, never of test."
