"""Label metrics from files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xm import UsageError
from xm_zero_shot.loki.files import read_distances

CLASSES = ("cat", "dog", "eel")
APART = [[0, 2, 4], [2, 0, 4], [4, 4, 0]]
MATRIX = "x,cat,dog,eel\ncat,0,2,4\ndog,2,0,4\neel,4,4,0\n"
EDGES = "child,parent\ncat,mammal\ndog,mammal\nmammal,animal\neel,fish\nfish,animal\n"
TREE = '{"cat": "mammal", "dog": "mammal", "mammal": "animal", "eel": "fish", "fish": "animal"}'
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def call(name: str, content: Any) -> str:
        path = tmp_path / name
        if isinstance(content, dict):
            np.savez(path, **content)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
        return str(path)

    return call


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tree.csv", EDGES),
        ("tree.csv", "\ufeff" + EDGES.replace(",", " , ").replace("\n", "\r\n")),
        ("tree.json", TREE),
        ("matrix.csv", MATRIX),
        ("matrix.CSV", MATRIX),
        ("matrix.npz", {"classes": np.array(CLASSES), "distances": np.array(APART)}),
    ],
)
def test_the_same_metric_in_every_form(write: Write, name: str, content: Any) -> None:
    found = read_distances(write(name, content), CLASSES)
    assert found.tolist() == APART
    assert found.dtype.is_floating_point and found.dtype.itemsize == 4
    assert read_distances(write(name, content), ("eel", "cat")).tolist() == [[0, 4], [4, 0]]


def test_a_class_may_lie_above_another(write: Write) -> None:
    found = read_distances(write("tree.csv", EDGES), ("cat", "mammal", "animal"))
    assert found.tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tree.csv", EDGES.replace("eel", "Eel"), "lacks class 'eel' (did you mean 'Eel'?)"),
        ("tree.json", '{"cat": "mammal"}', "lacks class 'dog', and lacks 1 more"),
        ("tree.csv", EDGES + "cat,pet\n", "no tree: 'cat' has two parents, 'mammal' and 'pet'"),
        ("tree.json", TREE[:-1] + ', "cat": "pet"}', "no tree: 'cat' has two parents, 'mammal' and 'pet'"),
        ("tree.csv", EDGES + "animal,mammal\n", "no tree: 'mammal' is above itself"),
        ("tree.csv", EDGES.replace("fish,animal", "fish,water"), "no tree: 'cat' and 'eel' have no common ancestor"),
        ("tree.csv", EDGES + "ox\n", "row 6 has 1 cells, the header has 2"),
        ("tree.json", '["cat"]', 'is no tree; write {"child": "parent", …}'),
        ("tree.json", '{"animal": {"cat": "x"}}', "the parent of 'animal' is no name"),
        ("tree.json", '{"cat": ', "Expecting value"),
        ("matrix.csv", "", "is empty"),
        ("matrix.csv", MATRIX.replace("dog,2", "cow,2"), "is neither a tree (header child,parent) nor a matrix"),
        ("matrix.csv", MATRIX.replace("cat", "dog"), "names class 'dog' twice"),
        ("matrix.csv", MATRIX.replace("cat,0,2", "cat,0,3"), "the distance 3 from 'cat' to 'dog' is not the same in"),
        ("matrix.csv", MATRIX.replace("2", "-2"), "the distance -2 from 'cat' to 'dog' is negative"),
        ("matrix.csv", MATRIX.replace("cat,0", "cat,1"), "the distance 1 from 'cat' to 'cat' should be 0"),
        ("matrix.csv", MATRIX.replace("2", "nan"), "from 'cat' to 'dog' is not a finite number"),
        ("matrix.csv", MATRIX.replace("2", "near"), "could not convert string to float: 'near'"),
        ("matrix.csv", b"\xff\xfe\x00", "can't decode"),
        ("matrix.npz", {"classes": np.array(CLASSES)}, "has no array 'distances'"),
        ("matrix.npz", {"classes": np.array(CLASSES), "distances": np.eye(2)}, "classes have shape (3,)"),
        ("matrix.npz", {"classes": np.array(CLASSES, dtype=object), "distances": np.eye(3)}, "allow_pickle=False"),
        ("matrix.npz", MATRIX, "is no .npz file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(write: Write, name: str, content: Any, said: str) -> None:
    path = write(name, content)
    with pytest.raises(UsageError) as caught:
        read_distances(path, CLASSES)
    message = str(caught.value)
    assert message.startswith(f"loki: metric {path}: ") and said in message and "\n" not in message


def test_missing_files(tmp_path: Path) -> None:
    for suffix in (".csv", ".json", ".npz"):
        with pytest.raises(UsageError, match=r"gone\.\w+: no such file$"):
            read_distances(str(tmp_path / f"gone{suffix}"), CLASSES)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=r"folder\.csv: Is a directory$"):
        read_distances(str(tmp_path / "folder.csv"), CLASSES)
