"""Clips of ESC-50 and ESC-10 (Piczak 2015). Clips cut from one recording are in one fold, so folds are groups."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from xm import DataError, Sample
from xm_datasets.imagenet_esc.classes import Pair
from xm_datasets.imagenet_esc.place import existing_file, files_in, folders_in, read_text, source_folder

ESC_50 = "esc-50"
ESC_10 = "esc-10"
AUDIO = "audio"

META = "meta/esc50.csv"
MASTERS = {ESC_50: "ESC-50-master", ESC_10: "ESC-10-master"}
"""What the archives of their repositories unpack to."""

COLUMNS = ("filename", "fold", "category")

_CLIP = re.compile(r"([1-9])-.+\.\w+")
_NUMBER = re.compile(r"\d+\s*-\s*")


def esc_50(pairs: Sequence[Pair]) -> tuple[Sample, ...]:
    """The clips of the pairs' categories: ``esc-50/ESC-50-master/meta/esc50.csv`` and ``audio/*.wav`` beside it.

    What the archive unpacks to may also be ``esc-50`` itself. Samples have no split yet, and the fold as group.

    Raises:
        DataError: if a file, column or category is missing, or a fold is no number.
    """
    folder = source_folder(ESC_50)
    root = folder if (folder / META).is_file() else folder / MASTERS[ESC_50]
    table = existing_file(ESC_50, root / META)
    labels = {pair.sounds: label for label, pair in enumerate(pairs)}
    rows = csv.DictReader(io.StringIO(read_text(table)))
    lacking = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
    if lacking:
        raise DataError(f"{table}: no column {lacking[0]!r}; it must be ESC-50's own, with {', '.join(COLUMNS)}")
    samples = []
    for row in rows:
        name, fold, category = (str(row[column] or "") for column in COLUMNS)
        if not fold.isdecimal():
            raise DataError(f"{table}: line {rows.line_num}: fold {fold!r} is no number")
        if category in labels:
            path = existing_file(ESC_50, root / "audio" / name)
            samples.append(_clip(path, labels[category], fold))
    heard = {sample.label for sample in samples}
    silent = [category for category, label in labels.items() if label not in heard]
    if silent:
        raise DataError(f"{table}: no clip of category {silent[0]!r}; it must be ESC-50's own, with all 2,000 rows")
    return tuple(samples)


def esc_10(pairs: Sequence[Pair]) -> tuple[Sample, ...]:
    """The clips of the pairs' folders, ``esc-10/001 - Dog bark/1-30226-A.ogg``; the first number is the fold.

    They may also be in what the archive unpacks to, ``esc-10/ESC-10-master``. Samples have no split yet, and the fold
    as group.

    Raises:
        DataError: if a folder is missing or holds no file, or a file name has no fold.
    """
    folder = source_folder(ESC_10)
    unpacked = folder / MASTERS[ESC_10]
    root = unpacked if unpacked.is_dir() else folder
    folders = {_NUMBER.sub("", path.name, count=1): path for path in folders_in(root)}
    return tuple(
        _clip(path, label, _fold(path))
        for label, pair in enumerate(pairs)
        for path in files_in(ESC_10, folders.get(pair.sounds, root / pair.sounds))
    )


def _fold(path: Path) -> str:
    match = _CLIP.fullmatch(path.name)
    if not match:
        raise DataError(f"{path}: the name has no fold; clips are called as in 1-30226-A.ogg, the fold first")
    return match[1]


def _clip(path: Path, label: int, fold: str) -> Sample:
    return Sample(path, AUDIO, label, group=f"fold {fold}")
