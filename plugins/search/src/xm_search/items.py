"""What an index is of: items found in a folder or a dataset, and how they are kept by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xm import DataError, Dataset, Sample
from xm.data import files_below, identity, item_name, modality_of


@dataclass(frozen=True)
class Indexed:
    """An item, and what it is called if it is neither a file nor a text."""

    item: Any
    name: str = ""


def in_folder(folder: Path, modality: str, suffixes: Mapping[str, str]) -> list[Indexed]:
    """The files of a modality at any depth, by name; hidden ones and litter are passed over.

    Raises:
        DataError: if there is none.
    """
    found = [Indexed(path) for path in files_below(folder) if modality_of(path, suffixes) == modality]
    if not found:
        known = ", ".join(sorted(suffix for suffix, of in suffixes.items() if of == modality))
        raise DataError(f"{folder}: no {modality} file in it (suffixes: {known or 'none is known for it'})")
    return found


def in_dataset(dataset: Dataset, modality: str) -> list[Indexed]:
    """The samples of a modality, of every split, each item once.

    Raises:
        DataError: if there is none.
    """
    samples = {identity(sample.item): sample for sample in dataset.samples if sample.modality == modality}
    if not samples:
        found = ", ".join(sorted({sample.modality for sample in dataset.samples}))
        raise DataError(f"{dataset.name}: no {modality} item in it (its modalities: {found or 'none'})")
    return [Indexed(sample.item, _named(dataset, sample, i)) for i, sample in enumerate(samples.values())]


def _named(dataset: Dataset, sample: Sample, number: int) -> str:
    """ "digits image 12 (three): <array 8x8 float64>"."""
    label = "" if sample.label is None else f" ({dataset.classes[sample.label]})"
    return f"{dataset.name} {sample.modality} {number}{label}: {item_name(sample.item)}"


def stored(indexed: Indexed, folder: Path) -> dict[str, str]:
    """An item as the index keeps it: a file by its path relative to the index, a text by itself."""
    if isinstance(indexed.item, Path):
        path = _located(indexed.item)
        try:
            return {"path": Path(os.path.relpath(path, _located(folder))).as_posix()}
        except ValueError:  # on another drive of Windows
            return {"path": path.as_posix()}
    return {"name": indexed.item if isinstance(indexed.item, str) else indexed.name}


def restored(entry: Mapping[str, str], folder: Path) -> Path | str:
    """What `stored` kept: a file's path, relative to the working folder if it is below it; else the text or name.

    Raises:
        KeyError: if the entry holds none of them.
    """
    if "path" in entry:
        path = Path(os.path.normpath(_located(folder) / entry["path"]))
        here = Path.cwd()
        return path.relative_to(here) if path.is_relative_to(here) else path
    return entry["name"]


def _located(path: Path) -> Path:
    """The path of what may be a link itself, with no link above it."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve would follow the last link
    return path.parent.resolve() / path.name
