"""Nearest vectors by cosine, found by faiss: by comparing with all of them, or with those of the nearest cells."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xm.errors import PluginError, RunError

Vectors: TypeAlias = NDArray[np.float32]

EXACT_BELOW = 20_000
"""Vectors; fewer than these are all compared with, which takes 0.3 ms a query and 10,000 of them."""

RECALL = 0.98
"""What cells must find of the ten nearest, measured on vectors of the index, or all are compared with."""

_K = 10
_SAMPLE = 256
_TIE = 1e-6


class Nearest:
    """Unit vectors, asked for the nearest to others.

    Attributes:
        method: "exact", or "ivf": k-means cells, of which the nearest are looked through.
        recall: of the ten nearest, what was found where it was measured: 1 if exact.
    """

    def __init__(self, index: Any, recall: float) -> None:
        self._index = index
        self.recall = recall

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Of the vectors."""
        return int(self._index.d)

    @property
    def method(self) -> str:
        return "ivf" if hasattr(self._index, "nprobe") else "exact"

    @classmethod
    def of(cls, vectors: Vectors) -> Nearest:
        """Of unit vectors (n, dim), float32.

        Cells are made from `EXACT_BELOW` vectors on. How many of them are looked through is the smallest power of two
        with `RECALL` for 256 of the vectors as queries; if that is over an eighth, cells do not pay, and it is exact.

        Raises:
            PluginError: without faiss.
        """
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if len(vectors) >= EXACT_BELOW:
            found = _cells(vectors)
            if found is not None:
                return found
        index = load_faiss().IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return cls(index, 1.0)

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Cosines and rows, (q, k) each, best first; k is no more than there are vectors."""
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        k = min(k, len(self))
        if self.method == "exact":
            scores, rows = self._index.search(queries, k)
            return scores, rows
        faiss = load_faiss()
        probes = min(self._index.nlist, self._index.nprobe * math.ceil(k / _K))
        scores, rows = self._index.search(queries, k, params=faiss.SearchParametersIVF(nprobe=probes))
        short = (rows < 0).any(axis=1)  # the cells held fewer than k
        if short.any():
            every = faiss.SearchParametersIVF(nprobe=self._index.nlist)
            scores[short], rows[short] = self._index.search(queries[short], k, params=every)
        return scores, rows

    def write(self, path: Path) -> None:
        """As faiss writes it."""
        load_faiss().write_index(self._index, str(path))

    @classmethod
    def read(cls, path: Path, recall: float) -> Nearest:
        """What `write` wrote.

        Raises:
            PluginError: without faiss.
            RunError: if the file is missing or damaged.
        """
        faiss = load_faiss()
        if not path.is_file():
            raise RunError(f"{path}: no such file")
        try:
            return cls(faiss.read_index(str(path)), recall)
        except (RuntimeError, MemoryError) as error:
            raise RunError(f"{path}: damaged ({' '.join(str(error).split())[:100]})") from None


def load_faiss() -> Any:
    """The library.

    Raises:
        PluginError: if it is not installed.
    """
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise PluginError(f"searching needs faiss ({error}); type: pip install faiss-cpu") from None


def _cells(vectors: Vectors) -> Nearest | None:
    """By k-means cells, two times the root of n of them; None if they do not pay."""
    faiss = load_faiss()
    cells = int(2 * math.sqrt(len(vectors)))
    index = faiss.index_factory(vectors.shape[1], f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = 64
    index.train(vectors)
    index.add(vectors)
    asked = vectors[np.linspace(0, len(vectors) - 1, _SAMPLE).astype(np.int64)]
    exact, _ = faiss.knn(asked, vectors, _K + 1, metric=faiss.METRIC_INNER_PRODUCT)
    index.nprobe = 4
    while index.nprobe * 8 <= cells:
        scores, _ = index.search(asked, _K + 1)
        hits = (scores >= exact[:, -1:] - _TIE).sum(axis=1) - 1  # the vector itself is no find
        recall = float(np.clip(hits / _K, 0, 1).mean())
        if recall >= RECALL:
            return Nearest(index, recall)
        index.nprobe *= 2
    return None
