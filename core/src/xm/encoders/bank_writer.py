"""Writing a bank: bit by bit into a folder beside it, which a later call goes on with, and at the end into one file."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from xm.encoders.bank import ABOUT, CLASSES, ITEMS, LABELS
from xm.foundation.files import replacing

BLOCK = 1 << 14
"""Rows copied at a time."""

PLAN, ROWS, VECTORS, FAILED = "plan.json", "rows.i64", "vectors.f32", "failed.jsonl"
"""Files of a part: what it is of, and, appended to, numbers of rows, vectors, and what could not be read."""


@dataclass(frozen=True)
class Array:
    """An array of a bank to be.

    Attributes:
        name: of the array.
        labels: (n,), -1 where there is none.
        rows: n, of each what is known, plain values.
    """

    name: str
    labels: Sequence[int]
    rows: Sequence[Mapping[str, Any]]


@dataclass
class Part:
    """What one process embedded of one array so far: appended to, and whole up to the last full row.

    Args:
        folder: of its own; made if it is missing.
        plan: what is embedded, of `n` items; a folder with another plan, or rows that it can't have, is emptied.
        dim: of a vector.
    """

    folder: Path
    plan: Mapping[str, Any]
    dim: int
    done: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path = self.folder / PLAN
        found = {file.name: file.is_file() for file in self.folder.glob("*")}
        if not found.get(PLAN) or not all(found.values()) or path.read_bytes() != self._planned.encode():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            path.write_text(self._planned, encoding="utf-8")
        for name in (ROWS, VECTORS, FAILED):
            (self.folder / name).touch()
        whole = min(self._size(ROWS) // 8, self._size(VECTORS) // (4 * self.dim))
        for name, width in ((ROWS, 8), (VECTORS, 4 * self.dim)):
            with (self.folder / name).open("r+b") as file:
                file.truncate(whole * width)
        self.done = np.fromfile(self.folder / ROWS, dtype="<i8").tolist()
        self.failed = self._read_failed()
        rows = [*self.done, *self.failed]
        if len(set(rows)) != len(rows) or any(not 0 <= row < self.plan["n"] for row in rows):
            shutil.rmtree(self.folder)
            self.done, self.failed = [], {}
            self.__post_init__()

    def _read_failed(self) -> dict[int, str]:
        found = {}
        for line in (self.folder / FAILED).read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row, why = json.loads(line)
            except (ValueError, TypeError, RecursionError):  # cut short by a kill
                continue
            if isinstance(row, int) and isinstance(why, str):
                found[row] = why
        return found

    @property
    def _planned(self) -> str:
        return json.dumps(self.plan, sort_keys=True)

    def _size(self, name: str) -> int:
        return (self.folder / name).stat().st_size

    def append(self, rows: Sequence[int], vectors: Tensor, failed: Mapping[int, str]) -> None:
        """Keep some rows; vectors go first, so that a kill between the two costs no more than these rows."""
        with (self.folder / VECTORS).open("ab") as file:
            file.write(vectors.contiguous().numpy().astype("<f4", copy=False).tobytes())
        with (self.folder / ROWS).open("ab") as file:
            file.write(np.asarray(rows, dtype="<i8").tobytes())
        if failed:
            with (self.folder / FAILED).open("a", encoding="utf-8") as text:
                text.writelines(json.dumps([row, why]) + "\n" for row, why in failed.items())
        self.done += rows
        self.failed.update(failed)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(rows, dim), by memory map."""
        if not self.done:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.memmap(self.folder / VECTORS, dtype="<f4", mode="r", shape=(len(self.done), self.dim))


class Rows:
    """The rows of an array in order, from the parts of all processes."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.vectors = [part.vectors for part in parts]
        where = [(row, k, i) for k, part in enumerate(parts) for i, row in enumerate(part.done)]
        where.sort()
        self.kept = [row for row, _, _ in where]
        self._places = [(k, i) for _, k, i in where]

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Some rows at a time."""
        for start in range(0, len(self._places), BLOCK):
            yield np.stack([self.vectors[k][i] for k, i in self._places[start : start + BLOCK]])


def write_bank(
    path: Path,
    arrays: Sequence[Array],
    parts: Sequence[Sequence[Part]],
    dims: Sequence[int],
    about: Mapping[str, Any],
    classes: Sequence[str],
) -> None:
    """One safetensors file of all arrays, without what failed; written whole or not at all, in bounded memory.

    Args:
        path: of the bank.
        arrays: in order.
        parts: of each array, one a process.
        dims: of each array.
        about: for the metadata, plain values.
        classes: in words.
    """
    rows = [Rows(own) for own in parts]
    names = "".join(json.dumps(array.rows[i]) + "\n" for array, own in zip(arrays, rows, strict=True) for i in own.kept)
    encoded = names.encode()
    header: dict[str, Any] = {
        "__metadata__": {
            CLASSES: json.dumps(list(classes), ensure_ascii=False),
            ABOUT: json.dumps({**about, "arrays": [array.name for array in arrays]}, ensure_ascii=False),
        }
    }
    start = 0
    for array, own, dim in zip(arrays, rows, dims, strict=True):
        n = len(own.kept)
        for name, kind, shape, size in (
            (array.name, "F32", [n, dim], 4 * n * dim),
            (array.name + LABELS, "I64", [n], 8 * n),
        ):
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, start + size]}
            start += size
    header[ITEMS] = {"dtype": "U8", "shape": [len(encoded)], "data_offsets": [start, start + len(encoded)]}
    with replacing(path) as temporary, temporary.open("wb") as file:
        _write_header(file, header)
        for array, own in zip(arrays, rows, strict=True):
            for block in own.blocks():
                file.write(block.tobytes())
            file.write(np.asarray([array.labels[i] for i in own.kept], dtype="<i8").tobytes())
        file.write(encoded)


def _write_header(file: IO[bytes], header: Mapping[str, Any]) -> None:
    """As the safetensors format has it: a length, and JSON, padded to eight bytes."""
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
