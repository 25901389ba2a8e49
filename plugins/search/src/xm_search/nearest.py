"""Nearest vectors by cosine, found by faiss: by comparing with all of them, or with those of the nearest cells."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xm import PluginError, RunError

Vectors: TypeAlias = NDArray[np.float32]

EXACT_BELOW = 20_000
"""Vectors; fewer than these are all compared with, which takes 0.3 ms a query and 10,000 of them."""

RECALL = 0.98
"""What cells must find of the ten nearest."""

_K = 10
_SAMPLE = 256
_SEED = 7_130_951
_TIE = 1e-6
"""Cosines that differ by less are equal: copies of an item are in the order of their names."""
_GAP = 3.0
"""How far far queries are moved: it leaves a cosine of 0.3, as of a picture and its caption."""


@dataclass(frozen=True)
class Effort:
    """How many cells are looked through, 0 for all vectors, and the share of the ten nearest that it found."""

    probes: int = 0
    recall: float = 1.0


class Nearest:
    """Unit vectors, asked for the nearest to others.

    Attributes:
        near: what queries take that lie among the vectors.
        far: what queries take that lie off, as those of another modality do: cells differ less from there.
    """

    def __init__(self, index: Any, near: Effort, far: Effort) -> None:
        self._index = index
        self.near = near
        self.far = far

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Of the vectors."""
        return int(self._index.d)

    @property
    def method(self) -> str:
        """ "exact", or "ivf": k-means cells, of which the nearest are looked through."""
        return "ivf" if self.near.probes else "exact"

    @classmethod
    def of(cls, vectors: Vectors) -> Nearest:
        """Of unit vectors (n, dim), float32.

        Cells are made from `EXACT_BELOW` vectors on. How many are looked through is the least power of two with
        `RECALL`, for 256 of the vectors as queries, and for the same moved far off, each in its own direction. If near
        ones need more than a quarter of the cells, cells do not pay, and it is exact.

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
        return cls(index, Effort(), Effort())

    def search(self, queries: Vectors, k: int, *, far: bool = False) -> tuple[Vectors, NDArray[np.int64]]:
        """Cosines and rows, (q, k) each, best first, equal ones in the order of rows; k is no more than there are.

        Raises:
            RunError: if the index is damaged in a way that shows when it is asked.
        """
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        try:
            scores, rows = self._ranked(queries, min(k, len(self)), far=far)
        except RuntimeError as error:
            raise RunError(f"the index is damaged ({' '.join(str(error).split())[:100]}); build it again") from None
        if ((rows < 0) | (rows >= len(self))).any() or not np.isfinite(scores).all():
            raise RunError("the index is damaged (it finds what it does not hold); build it again")
        return scores, rows

    def _ranked(self, queries: Vectors, k: int, *, far: bool) -> tuple[Vectors, NDArray[np.int64]]:
        """The first k, where more are looked at as long as the last is no worse than the one at k."""
        n = min(k + 1, len(self))
        scores, rows = self._search(queries, n, k, far=far)
        while n < len(self) and (scores[:, k - 1] - scores[:, -1] <= _TIE).any():
            n = min(2 * n, len(self))
            scores, rows = self._search(queries, n, k, far=far)
        order = np.lexsort((rows, -np.round(scores / _TIE)))[:, :k]
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def _search(self, queries: Vectors, n: int, k: int, *, far: bool) -> tuple[Vectors, NDArray[np.int64]]:
        """The n nearest, with the effort that finds k."""
        effort = self.far if far else self.near
        if not effort.probes:
            scores, rows = self._index.search(queries, n)
            return scores, rows
        parameters, cells = load_faiss().SearchParametersIVF, self._index.nlist
        probes = min(cells, effort.probes * math.ceil(k / _K))
        scores, rows = self._index.search(queries, n, params=parameters(nprobe=probes))
        short = (rows < 0).any(axis=1)  # the cells held fewer
        if short.any():
            scores[short], rows[short] = self._index.search(queries[short], n, params=parameters(nprobe=cells))
        return scores, rows

    def write(self, path: Path) -> None:
        """As faiss writes it."""
        load_faiss().write_index(self._index, str(path))

    @classmethod
    def read(cls, path: Path, near: Effort, far: Effort) -> Nearest:
        """What `write` wrote.

        Raises:
            PluginError: without faiss.
            RunError: if the file is missing or damaged.
        """
        faiss = load_faiss()
        if not path.is_file():
            raise RunError(f"{path}: no such file")
        faiss.set_deserialization_vector_byte_limit(path.stat().st_size)  # what a damaged file says of sizes
        try:
            index = faiss.read_index(str(path))
        except (RuntimeError, MemoryError) as error:
            raise RunError(f"{path}: damaged ({' '.join(str(error).split())[:100]})") from None
        if (near.probes > 0, far.probes > 0) != (hasattr(index, "nprobe"),) * 2:
            raise RunError(f"{path}: damaged (it is of another kind)")
        return cls(index, near, far)


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
    near = _effort(index, vectors, asked, itself=1)
    if near.probes * 4 > cells:
        return None
    off = _unit(np.random.default_rng(_SEED).standard_normal(asked.shape, dtype=np.float32))
    return Nearest(index, near, _effort(index, vectors, _unit(asked + _GAP * off), itself=0))


def _effort(index: Any, vectors: Vectors, asked: Vectors, itself: int) -> Effort:
    """The least power of two of cells with `RECALL`, else all. Near queries find `itself` (1), which is no hit."""
    faiss = load_faiss()
    k = _K + itself
    exact, _ = faiss.knn(asked, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
    probes = 4
    while probes < index.nlist:
        scores, _ = index.search(asked, k, params=faiss.SearchParametersIVF(nprobe=probes))
        hits = (scores >= exact[:, -1:] - _TIE).sum(axis=1) - itself
        recall = float(np.clip(hits / _K, 0, 1).mean())
        if recall >= RECALL:
            return Effort(probes, recall)
        probes *= 2
    return Effort(index.nlist)


def _unit(x: Vectors) -> Vectors:
    found: Vectors = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return found
