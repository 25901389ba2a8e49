"""Banks: embeddings of a whole dataset in one safetensors file, opened by memory map.

Arrays are ``<split>_<modality>`` (n, dim), float32, and ``<split>_<modality>_y`` (n,), int64, -1 where there is no
label; split is train, val, test, ``any`` where it is still to be drawn, or another word. ``items`` is a line of JSON
for each row (its item, and its group, pair, tags and source where it has them), array after array, as bytes. The
metadata hold the classes, and what the encoders were. ``--features`` and ``--data`` read such a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from torch import Tensor

from xm.foundation.errors import RunError, described, unknown
from xm.foundation.files import refuse_no_file
from xm.foundation.reading import formed
from xm.learning.stream import Stream

LABELS = "_y"
ITEMS = "items"
CLASSES = "classes"
ABOUT = "xm"
"""Arrays' suffix and names, and keys of the metadata."""

NAMES = "_items"
"""Behind an array's name: what its items are called, in a file of another format; a bank has `ITEMS`."""

UNSPLIT = "any"
"""The split, in an array's name, of items whose split is still to be drawn."""


class _Maker(BaseModel):
    encoder: str
    fingerprint: str
    space: str


class _About(BaseModel):
    """What is looked up in the metadata of a bank; a file of features says nothing."""

    arrays: list[str] = []
    encoders: dict[str, _Maker] = {}


def _is_row(row: Any) -> bool:
    """Whether a line says what an item is, in words."""
    if not isinstance(row, dict) or not isinstance(row.get("item"), str):
        return False
    return all(isinstance(row.get(name, ""), str) for name in ("group", "pair", "source"))


def array_name(split: str | None, modality: str) -> str:
    """The name of an array of embeddings."""
    return f"{split or UNSPLIT}_{modality}"


class Bank:
    """A bank, opened by memory map: nothing is read but what is asked for.

    Args:
        path: of the file.

    Raises:
        RunError: if it is missing, damaged, or no bank.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            refuse_no_file(path)
            with safe_open(path, "pt") as file:
                self.arrays: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata: Mapping[str, str] = file.metadata() or {}
            self.classes: tuple[str, ...] = tuple(formed(path, list[str], json.loads(metadata.get(CLASSES, "[]"))))
            self.about: dict[str, Any] = json.loads(metadata.get(ABOUT, "{}"))
        except FileNotFoundError:
            raise RunError(f"{path}: no such file") from None
        except (SafetensorError, OSError, ValueError, RecursionError) as error:
            raise RunError(f"{path}: damaged, or no bank ({described(error)})") from error
        formed(path, _About, self.about)
        for name in self.names:
            self._check(name)

    def _check(self, name: str) -> None:
        x, y = self.arrays.get(name), self.arrays.get(name + LABELS)
        if x is None or x.ndim != 2:
            raise RunError(f"{self.path}: damaged (array {name!r} is missing, or not of rows and columns)")
        whole = y is not None and y.shape == x.shape[:1] and not y.is_floating_point()
        if not whole:
            raise RunError(f"{self.path}: damaged (array {name + LABELS!r} has no whole number for each row)")

    @cached_property
    def names(self) -> list[str]:
        """Of the arrays of embeddings, in the order in which their items are listed."""
        written: list[str] = self.about.get("arrays", [])
        return written or sorted(name for name in self.arrays if f"{name}{LABELS}" in self.arrays)

    @cached_property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """What is known of each row, by array: `item`, a path or text, and maybe `group`, `pair`, `tags` and `source`.

        It is read when it is asked for; a file of features that is no bank has none.
        """
        if ITEMS not in self.arrays:
            return {}
        try:
            lines = [json.loads(line) for line in bytes(self.arrays[ITEMS].numpy()).decode().split("\n") if line]
        except (ValueError, TypeError, RecursionError) as error:
            raise RunError(f"{self.path}: damaged ({ITEMS}: {described(error)})") from error
        if len(lines) != len(self) or not all(map(_is_row, lines)):
            raise RunError(f"{self.path}: damaged ({ITEMS} does not say of each of {len(self)} rows what it is)")
        found, start = {}, 0
        for name in self.names:
            stop = start + len(self.arrays[name])
            found[name] = lines[start:stop]
            start = stop
        return found

    def stream(self, split: str | None, modality: str) -> Stream:
        """The rows of a split and modality, on the disk; rows that are picked from it are copied, no others.

        Raises:
            UsageError: if there are none.
        """
        name = array_name(split, modality)
        if name not in self.names:
            raise unknown("array of the bank", name, self.names)
        return Stream(modality, {"features": self.arrays[name]}, self.arrays.get(name + LABELS))

    def __len__(self) -> int:
        return sum(len(self.arrays[name]) for name in self.names)
