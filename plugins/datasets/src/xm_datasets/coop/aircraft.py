"""FGVC-Aircraft (Maji et al. 2013): its own text files, at the level of variants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xm import DataError, Dataset
from xm.data import SPLITS
from xm_datasets.coop.listed import dataset_of
from xm_datasets.coop.place import data_folder, existing_file, existing_folder
from xm_datasets.coop.records import RECORDS
from xm_datasets.coop.rows import Row, clean, read_lines
from xm_datasets.coop.templates import named

LISTS = "images_variant_{}.txt"
SUFFIX = ".jpg"


def open_aircraft(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Open FGVC-Aircraft below XM_DATA: ``fgvc_aircraft/``, which is the ``data/`` of its archive.

    ``variants.txt`` holds the class names in the order of labels, ``images_variant_<split>.txt`` an image's number and
    its variant a line. Published draws are in ``fgvc_aircraft/few_shot/``. `cache` is not used.

    Raises:
        DataError: if a file is missing or does not fit, or XM_DATA is not set.
    """
    record = RECORDS[source]
    folder = data_folder(record)
    classes = _classes(existing_file(record, folder / record.listing))
    lists = {split: existing_file(record, folder / LISTS.format(split)) for split in SPLITS}
    root = existing_folder(record, folder / record.images)
    labels = {name: label for label, name in enumerate(classes)}
    rows = {split: _rows(file, labels, record.listing) for split, file in lists.items()}
    return named(record, dataset_of(folder / LISTS.format("{train,val,test}"), root, classes, rows, suffixes))


def _classes(file: Path) -> tuple[str, ...]:
    lines: dict[str, int] = {}
    for number, line in read_lines(file):
        first = lines.setdefault(clean(line), number)
        if first != number:
            raise DataError(f"{file}: lines {first} and {number} are both {clean(line)!r}; a variant may be there once")
    return tuple(lines)


def _rows(file: Path, labels: Mapping[str, int], listing: str) -> list[Row]:
    rows = []
    for number, line in read_lines(file):
        image, _, variant = line.partition(" ")
        name = clean(variant)
        if name not in labels:
            raise DataError(f"{file}: line {number}: {name!r} is no variant of {listing}")
        rows.append(Row(image + SUFFIX, labels[name], name))
    return rows
