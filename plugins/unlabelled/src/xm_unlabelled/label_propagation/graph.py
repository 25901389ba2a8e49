"""A graph of items and class rows, and what spreads over it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import cg
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

Matrix: TypeAlias = NDArray[np.float64]
Sparse: TypeAlias = Any
"""A sparse array of SciPy."""

MANY = 5_000
"""Nodes of whose distances the median is taken; where there are more, of so many, evenly spaced."""


def affinity(items: Matrix, rows: Matrix, k: int) -> Sparse:
    """W, how alike nodes are: (n + classes, n + classes), symmetric, zero where neither is the other's neighbour.

    ``exp(-d² / median d²)`` of unit vectors at distance d, to the k nearest nodes but itself. A class's row has items
    alone for neighbours.

    Args:
        items: (n, dim).
        rows: (classes, dim), a labelled node each.
        k: at most n.
    """
    items, rows = normalize(items), normalize(rows)
    nodes = np.concatenate([items, rows])
    near = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(nodes).kneighbors_graph(mode="distance")[: len(items)]
    seen = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(items).kneighbors_graph(rows, mode="distance")
    seen.resize(len(rows), len(nodes))
    found = sparse.csr_array(sparse.vstack([near, seen]))
    found.data = np.exp(-(found.data**2) / _median(nodes))
    return (found + found.T) / 2


def _median(nodes: Matrix) -> float:
    """Of all squared distances between nodes; 1 where most are copies of each other."""
    some = nodes[np.linspace(0, len(nodes) - 1, min(MANY, len(nodes))).astype(int)]
    return float(np.median(euclidean_distances(some, squared=True))) or 1.0


def smoothed(weights: Sparse) -> Sparse:
    """S = D^-½ W D^-½, D the sums of W's rows; a node without a neighbour keeps to itself."""
    degree = weights.sum(axis=1)
    half = sparse.diags_array(1 / np.sqrt(np.where(degree > 0, degree, 1)))
    return half @ weights @ half


def propagated(smooth: Sparse, classes: int, alpha: float) -> Matrix:
    """F = (1 - alpha) (I - alpha S)^-1 Y of the items: (n, classes), none negative.

    Y is 1 where a class meets its own row, which are the last nodes, and 0 elsewhere. Published: 2 Y - 1 on these rows.
    That F is two times this one less its sum over classes, so that decisions are the same.
    """
    nodes = smooth.shape[0]
    left = sparse.eye_array(nodes) - alpha * smooth
    found = np.zeros((nodes, classes))
    for label in range(classes):
        start = np.zeros(nodes)
        start[nodes - classes + label] = 1 - alpha
        found[:, label], _ = cg(left, start, rtol=1e-12)
    return np.clip(found[: nodes - classes], 0, None)
