"""The openers: images and sounds of the same classes, unpaired."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xm import Dataset, Sample
from xm_datasets.imagenet_esc.classes import RECORDS, Record
from xm_datasets.imagenet_esc.images import IMAGENET, caltech_images, imagenet_images
from xm_datasets.imagenet_esc.place import source_folder
from xm_datasets.imagenet_esc.rows import read_draws
from xm_datasets.imagenet_esc.sounds import esc_10, esc_50

FEW_SHOT = "few_shot"

Draws = dict[tuple[int, int], dict[str, tuple[Sample, ...]]]
"""Shots and seed to split to samples."""


def open_caltech_esc(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Open Caltech-ESC below XM_DATA: ``caltech-101/`` in CoOp's split, and ``esc-10/``, whose folds are to be split.

    Images of train and val that are not on disk are left out, with a note. `suffixes` and `cache` are not used.

    Raises:
        DataError: if something is missing or does not fit.
    """
    record = RECORDS[source]
    images, lost = caltech_images(record.pairs)
    notes = [f"{lost} images of train and val are not on disk and left out."] if lost else []
    return _dataset(record, images, esc_10(record.pairs), notes, {})


def open_imagenet_esc(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Open ImageNet-ESC-19 or -27 below XM_DATA: ``imagenet/images/``, and ``esc-50/``, whose folds are to be split.

    ImageNet's official val is test. The published draws in ``imagenet/few_shot/`` are used; what they have as val is
    val, and without them tasks take val from train. `suffixes` and `cache` are not used.

    Raises:
        DataError: if something is missing or does not fit.
    """
    record = RECORDS[source]
    published = read_draws(source_folder(IMAGENET) / FEW_SHOT, {pair.images for pair in record.pairs})
    held = {path for draw in published.values() for path in draw["val"]}
    images = dict(imagenet_images(record.pairs, held))
    draws: Draws = {
        key: {split: tuple(images[path] for path in paths) for split, paths in draw.items()}
        for key, draw in published.items()
        if all(path in images for paths in draw.values() for path in paths)
    }
    notes = [f"Images of {len(draws)} published draws ({FEW_SHOT}/) are used as they are."] if draws else []
    if len(draws) < len(published):
        notes.append(f"{len(published) - len(draws)} published draws are left out, as images of theirs are missing.")
    return _dataset(record, tuple(images.values()), esc_50(record.pairs), notes, draws)


def _dataset(
    record: Record, images: tuple[Sample, ...], sounds: tuple[Sample, ...], notes: list[str], draws: Draws
) -> Dataset:
    return Dataset(
        name=record.name,
        classes=tuple(pair.name for pair in record.pairs),
        samples=(*images, *sounds),
        draws=draws,
        notes=(
            "Images and sounds were never recorded together: they share a class, by a table made by hand.",
            "Class names are those of the images.",
            *notes,
        ),
    )
