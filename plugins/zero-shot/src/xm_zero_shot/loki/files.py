"""Label metrics from files: a tree of classes, or a matrix of distances."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xm import UsageError

Matrix: TypeAlias = NDArray[np.float64]

EDGES = ["child", "parent"]
"""The header of a table that holds a tree; any other is a matrix's."""


def read_distances(file: str, classes: Sequence[str]) -> Tensor:
    """Distances (classes, classes), float32, in the order of `classes`. The file may know more classes.

    Args:
        file: a tree, ``.csv`` with the header ``child,parent`` or ``.json``, ``{child: parent}``; or a matrix, ``.csv``
            with the class names as header and first column, or ``.npz`` with ``classes`` (k,) and ``distances`` (k, k).
        classes: in words.

    Raises:
        UsageError: that names the file, if it is missing, does not hold that, lacks a class, or its distances are not
            finite, not symmetric, negative, or not 0 between a class and itself.
    """
    path = Path(file)
    try:
        found = READERS[path.suffix.lower()](path, classes)
        _check(found, classes)
    except FileNotFoundError:
        raise UsageError(f"loki: metric {file}: no such file") from None
    except (OSError, ValueError, csv.Error, BadZipFile) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UsageError(f"loki: metric {file}: {said}") from None
    return torch.from_numpy(found).float()


def tree_distances(parents: Mapping[str, str], classes: Sequence[str]) -> Matrix:
    """Edges on the way from class to class in a tree: (classes, classes).

    Args:
        parents: by child. The root has none.
        classes: nodes of the tree, mostly its leaves.

    Raises:
        ValueError: if a class is no node, or the parents make no tree.
    """
    _require(classes, {*parents, *parents.values()})
    ways = [_way_up(parents, name) for name in classes]
    for name, way in zip(classes, ways, strict=True):
        if way[-1] != ways[0][-1]:
            raise ValueError(f"no tree: {classes[0]!r} and {name!r} have no common ancestor")
    column = {node: i for i, node in enumerate(dict.fromkeys(node for way in ways for node in way))}
    above = np.zeros((len(classes), len(column)))
    for row, way in zip(above, ways, strict=True):
        row[[column[node] for node in way]] = 1
    nodes = above.sum(axis=1)
    distances: Matrix = nodes[:, None] + nodes - 2 * above @ above.T
    return distances


def _way_up(parents: Mapping[str, str], name: str) -> list[str]:
    """A node, its parent, and so on to the root."""
    way = {name: None}
    while (above := parents.get(name)) is not None:
        if above in way:
            raise ValueError(f"no tree: {above!r} is above itself")
        way[above] = None
        name = above
    return list(way)


def _read_csv(path: Path, classes: Sequence[str]) -> Matrix:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    if not rows:
        raise ValueError("is empty")
    header, *rows = rows
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, the header has {len(header)}")
    if header == EDGES:
        return tree_distances(_parents(rows), classes)
    names = header[1:]
    if [row[0] for row in rows] != names:
        raise ValueError(
            "is neither a tree (header child,parent) nor a matrix (class names as header and, in that order, as first "
            "column)"
        )
    return _selected(names, np.array([[float(cell) for cell in row[1:]] for row in rows]), classes)


def _read_json(path: Path, classes: Sequence[str]) -> Matrix:
    found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_parents)
    if not isinstance(found, dict):
        raise ValueError('is no tree; write {"child": "parent", …}')
    return tree_distances(found, classes)


def _parents(edges: Sequence[Sequence[Any]]) -> dict[str, str]:
    """Parents by child, of pairs."""
    parents: dict[str, str] = {}
    for child, parent in edges:
        if not isinstance(parent, str):
            raise ValueError(f"the parent of {child!r} is no name")
        if parents.setdefault(child, parent) != parent:
            raise ValueError(f"no tree: {child!r} has two parents, {parents[child]!r} and {parent!r}")
    return parents


def _read_npz(path: Path, classes: Sequence[str]) -> Matrix:
    with path.open("rb") as file:
        if not is_zipfile(file):
            raise ValueError("is no .npz file")
        arrays = np.load(file, allow_pickle=False)
        absent = [name for name in ("classes", "distances") if name not in arrays]
        if absent:
            raise ValueError(f"has no array {absent[0]!r}")
        names, distances = arrays["classes"], arrays["distances"]
    if names.ndim != 1 or distances.shape != (len(names), len(names)):
        raise ValueError(f"classes have shape {names.shape} and distances {distances.shape}; expected (k,) and (k, k)")
    return _selected([str(name) for name in names.tolist()], distances.astype(float), classes)


def _selected(names: Sequence[str], distances: Matrix, classes: Sequence[str]) -> Matrix:
    """Rows and columns of the classes."""
    twice = [name for name, later in zip(sorted(names), sorted(names)[1:], strict=False) if name == later]
    if twice:
        raise ValueError(f"names class {twice[0]!r} twice")
    _require(classes, set(names))
    rows = [names.index(name) for name in classes]
    return distances[np.ix_(rows, rows)]


def _require(classes: Sequence[str], known: set[str]) -> None:
    absent = [name for name in classes if name not in known]
    if absent:
        near = difflib.get_close_matches(absent[0], sorted(known), n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        more = f", and lacks {len(absent) - 1} more" if len(absent) > 1 else ""
        raise ValueError(f"lacks class {absent[0]!r}{hint}{more}")


def _check(distances: Matrix, classes: Sequence[str]) -> None:
    """Raise a ValueError that names the first pair of classes whose distance can't be one."""
    reasons = {
        "is not a finite number": ~np.isfinite(distances),
        "is negative": distances < 0,
        "is not the same in both directions": ~np.isclose(distances, distances.T),
        "should be 0": np.eye(len(classes), dtype=bool) & (distances != 0),
    }
    for reason, wrong in reasons.items():
        for i, j in np.argwhere(wrong)[:1]:
            raise ValueError(f"the distance {distances[i, j]:g} from {classes[i]!r} to {classes[j]!r} {reason}")


READERS: Mapping[str, Callable[[Path, Sequence[str]], Matrix]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".npz": _read_npz,
}
SUFFIXES = tuple(READERS)
