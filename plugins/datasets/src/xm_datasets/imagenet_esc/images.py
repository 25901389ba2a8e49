"""Images of Caltech-101, in CoOp's split, and of ImageNet, with the draws that Lin et al. published."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from xm import DataError, Sample
from xm.data import SPLITS
from xm_datasets.imagenet_esc.classes import Pair
from xm_datasets.imagenet_esc.place import existing_file, existing_folder, files_in, source_folder
from xm_datasets.imagenet_esc.rows import read_json, row_path, rows_of

CALTECH = "caltech-101"
IMAGENET = "imagenet"
IMAGE = "image"

SPLIT_FILE = "split_zhou_Caltech101.json"
OBJECTS = "101_ObjectCategories"

_FLAT = "ILSVRC2012_val_00000001.JPEG"
_SORTER = "https://github.com/pytorch/examples/blob/main/imagenet/extract_ILSVRC.sh"
"""Puts the images of val, which come in one folder, into folders of classes."""


def caltech_images(pairs: Sequence[Pair]) -> tuple[tuple[Sample, ...], int]:
    """The images of the pairs' classes, in CoOp's split, and how many of train and val are not on disk.

    ``caltech-101/split_zhou_Caltech101.json`` and ``caltech-101/101_ObjectCategories/<class>/*.jpg``.

    Raises:
        DataError: if the split file is missing or of another form, a class is not in it, or a file of test is missing.
    """
    folder = source_folder(CALTECH)
    table = existing_file(CALTECH, folder / SPLIT_FILE)
    root = existing_folder(CALTECH, folder / OBJECTS)
    labels = {pair.images: label for label, pair in enumerate(pairs)}
    listed = list(_listed(table, read_json(table), labels))
    for split in ("train", "test"):
        absent = labels.keys() - {name for found, name, _ in listed if found == split}
        if absent:
            raise DataError(f"{table}: {split} has no image of {min(absent)}; it must be CoOp's split file, whole")
    samples = []
    for split, name, path in listed:
        if split == "test" or (root / path).is_file():
            file = existing_file(CALTECH, root / path)
            samples.append(Sample(file, IMAGE, labels[name], split))
    return tuple(samples), len(listed) - len(samples)


def _listed(table: Path, found: dict[str, Any], names: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Split, class folder and path of what is of those classes."""
    for split in SPLITS:
        for row in rows_of(table, found, split):
            path = row_path(table, split, row)
            name = path.partition("/")[0]
            if name in names:
                yield split, name, path


def imagenet_images(pairs: Sequence[Pair], held: Collection[str]) -> Iterator[tuple[str, Sample]]:
    """Path below ``imagenet/images``, and the sample: ``train/<WordNet id>/*`` is train, ``val/<WordNet id>/*`` test.

    Only the folders of these classes are looked at. What is `held` of train is val.

    Raises:
        DataError: if a folder is missing or holds no file, or val is not in folders of classes.
    """
    root = existing_folder(IMAGENET, source_folder(IMAGENET) / "images")
    if (root / "val" / _FLAT).is_file():
        raise DataError(f"{root / 'val'}: holds images, not a folder for each class; sort them as {_SORTER} does")
    for part, rest in (("train", "train"), ("val", "test")):
        for label, pair in enumerate(pairs):
            for file in files_in(IMAGENET, root / part / pair.images):
                path = f"{part}/{pair.images}/{file.name}"
                yield path, Sample(file, IMAGE, label, "val" if part == "train" and path in held else rest)
