"""The reader `coop`, and the datasets that a split file of CoOp's lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from xm import DataError, Dataset
from xm_datasets.coop.listed import classes_of, dataset_of
from xm_datasets.coop.place import data_folder, existing_file, existing_folder
from xm_datasets.coop.records import RECORDS
from xm_datasets.coop.rows import Row, read_rows
from xm_datasets.coop.templates import named, template_sets


def open_coop(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Read a split file of CoOp's (Zhou et al., IJCV 2022), ``split_zhou_<Dataset>.json``.

    It is an object of train, val and test, each a list of [path, label, class name]. Paths are relative to the
    file's folder or to a folder in it, such as ``101_ObjectCategories``: the one where a first path of a split
    exists. Underscores in class names become spaces. Files of train and val that are not there are left out with
    one warning. ``few_shot/shot_<N>-seed_<S>.json`` beside it, of the same form, are published draws (Lin et al.,
    CVPR 2023). One that needs a file that is not there is left out too. A split file under its published name has
    its dataset's `template_sets`; the default is the class name alone. `cache` is not used.

    Raises:
        DataError: if a file is not of that form, no image or not all of test is there, labels and names don't
            match, or a draw has what its split does not.
    """
    table = Path(source)
    rows = read_rows(table, needed=("train", "test"))
    classes = classes_of(table, rows)
    dataset = dataset_of(table, _root(table, rows), classes, rows, suffixes)
    known = (template_sets(record) for record in RECORDS.values() if record.listing == table.name)
    return replace(dataset, template_sets=next(known, {}))


def open_split(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Open a dataset by its name: its split file, images and draws, below XM_DATA in CoOp's layout.

    All is as `open_coop` reads it, but for the name and the templates. `cache` is not used.

    Raises:
        DataError: as `open_coop`, and if XM_DATA is not set or something is not where it should be.
    """
    record = RECORDS[source]
    folder = data_folder(record)
    table = existing_file(record, folder / record.listing)
    root = existing_folder(record, folder / record.images)
    rows = read_rows(table, needed=("train", "test"))
    return named(record, dataset_of(table, root, classes_of(table, rows), rows, suffixes))


def _root(table: Path, rows: Mapping[str, list[Row]]) -> Path:
    """The folder that paths are relative to."""
    folders = sorted(path for path in table.parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    firsts = [listed[0].path for listed in rows.values() if listed]
    for folder in (table.parent, *folders):
        if any((folder / first).is_file() for first in firsts):
            return folder
    names = ", ".join(folder.name for folder in folders) or "none"
    raise DataError(
        f"{table}: {firsts[0]} is neither in {table.parent} nor in a folder there ({names}); "
        "put the dataset's folder of images beside the split file"
    )
