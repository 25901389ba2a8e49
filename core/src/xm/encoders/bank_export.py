"""Banks in other formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xm.encoders.bank import CLASSES, LABELS, NAMES, Bank
from xm.foundation.errors import PluginError, UsageError
from xm.foundation.files import replacing

BLOCK = 1 << 14
"""Rows written at a time."""


def exporter(out: Path) -> Callable[[Path], None] | None:
    """How a bank becomes a file of `out`'s suffix; None if that is a bank's own.

    Raises:
        UsageError: for a suffix that is not known.
        PluginError: if the format's package is not installed.
    """
    known: Mapping[str, Any] = {".safetensors": None, ".npz": _npz, ".parquet": _parquet}
    if out.suffix.lower() not in known:
        raise UsageError(f"--out {out}: its suffix should be one of {', '.join(known)}")
    write = known[out.suffix.lower()]
    if write is _parquet:
        _pyarrow()
    return None if write is None else partial(write, out)


def _npz(out: Path, path: Path) -> None:
    """The arrays, the items' names beside each, and the classes: strings, as ``--features`` reads them."""
    bank = Bank(path)
    arrays: dict[str, Any] = {name: bank.arrays[name].numpy() for name in bank.names}
    arrays |= {name + LABELS: bank.arrays[name + LABELS].numpy() for name in bank.names}
    for name, rows in bank.rows.items():
        arrays[name + NAMES] = np.asarray([row["item"] for row in rows], dtype=np.str_)
    arrays[CLASSES] = np.asarray(bank.classes, dtype=np.str_)
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def _parquet(out: Path, path: Path) -> None:
    """A row an item: array, item, label (null without), class, and the vector as a list of floats."""
    pa, pq = _pyarrow()
    bank = Bank(path)
    names = [("array", pa.string()), ("item", pa.string()), ("label", pa.int64()), ("class", pa.string())]
    schema = pa.schema([*names, ("features", pa.list_(pa.float32()))])
    with replacing(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for name in bank.names:
            x, y, known = bank.arrays[name], bank.arrays[name + LABELS], bank.rows[name]
            for start in range(0, len(x), BLOCK):
                rows = slice(start, start + BLOCK)
                labels = [None if label < 0 else label for label in y[rows].tolist()]
                columns = {
                    "array": [name] * len(labels),
                    "item": [row["item"] for row in known[rows]],
                    "label": labels,
                    "class": [None if label is None else bank.classes[label] for label in labels],
                    "features": list(x[rows].numpy()),
                }
                writer.write_table(pa.table(columns, schema=schema))


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    except ImportError:
        raise PluginError("parquet needs pyarrow; try: pip install pyarrow") from None
    return pa, pq
