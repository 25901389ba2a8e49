"""ImageNet's shifted versions: test sets for what was learned on ImageNet's 1000 classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xm import Dataset, Sample
from xm_datasets.coop.classnames import read_classnames
from xm_datasets.coop.folders import class_files, class_folders
from xm_datasets.coop.place import data_folder, existing_file, existing_folder
from xm_datasets.coop.records import RECORDS, Record
from xm_datasets.coop.templates import named


def open_by_wnid(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Open ImageNet-Sketch, -A or -R below XM_DATA: class folders are called by WordNet ids. All samples are of test.

    Classes are ImageNet's, in its order, though A and R have images of 200 of them. They come from
    ``imagenet/classnames.txt``; without it, from the copy in the dataset's folder. `cache` is not used.

    Raises:
        DataError: if a file or folder is missing or does not fit, or XM_DATA is not set.
    """
    record = RECORDS[source]
    listing = _listing(record)
    names = read_classnames(listing)
    return _dataset(record, listing, names, {wnid: label for label, wnid in enumerate(names)}, suffixes)


def open_by_number(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Open ImageNetV2 as `open_by_wnid` does, but class folders are called by labels: 0 to 999."""
    record = RECORDS[source]
    listing = _listing(record)
    names = read_classnames(listing)
    return _dataset(record, listing, names, {str(label): label for label in range(len(names))}, suffixes)


def _listing(record: Record) -> Path:
    """ImageNet's ``classnames.txt``, or the dataset's own copy."""
    folder = data_folder(record)
    imagenet = folder.parent / RECORDS["imagenet"].folder / record.listing
    return imagenet if imagenet.is_file() else existing_file(record, folder / record.listing)


def _dataset(
    record: Record, listing: Path, names: Mapping[str, str], keys: Mapping[str, int], suffixes: Mapping[str, str]
) -> Dataset:
    root = existing_folder(record, data_folder(record) / record.images)
    folders = class_folders(root, keys, listing, whole=record.whole)
    samples = tuple(
        Sample(item, modality, label, "test")
        for key, label in folders.items()
        for _, item, modality in class_files(root / key, suffixes)
    )
    return named(record, Dataset(record.name, tuple(names.values()), samples, notes=_notes(record, folders, names)))


def _notes(record: Record, folders: Mapping[str, int], names: Mapping[str, str]) -> tuple[str, ...]:
    if len(folders) == len(names):
        return ()
    return (
        f"{record.name} has images of {len(folders)} of the {len(names)} classes; published accuracies are over these "
        "alone: xm eval --present.",
    )
