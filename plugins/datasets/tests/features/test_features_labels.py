"""Labels of features as people have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xm import DataError, Dataset
from xm.data import open_dataset
from xm.plugins import manager

WORDS = np.array(["owl", "cat", "dog"])


def opened(folder: Path, y: Any, **more: Any) -> Dataset:
    x = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    np.savez(folder / "f.npz", train_image=x, train_image_y=y, test_image=x, test_image_y=y, **more)
    return open_dataset(folder / "f.npz", manager(), folder / "cache")


def labels(data: Dataset) -> list[int | None]:
    return [s.label for s in data.samples if s.split == "train"]


Y = np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize("y", [Y, Y.astype(float), Y[:, None], Y[None, :], Y.astype(np.uint8)])
def test_numbers(tmp_path: Path, y: Any) -> None:
    assert labels(opened(tmp_path, y)) == Y.tolist()


def test_words(tmp_path: Path) -> None:
    data = opened(tmp_path, WORDS[Y])
    assert data.classes == ("cat", "dog", "owl") and labels(data) == [2, 0, 1, 2, 0, 1]
    data = opened(tmp_path, WORDS[Y].astype("S"), classes=WORDS)
    assert data.classes == tuple(WORDS) and labels(data) == Y.tolist()


def test_none(tmp_path: Path) -> None:
    assert labels(opened(tmp_path, np.array([0, 1, np.nan, 0, 1, np.nan])))[2] is None
    assert labels(opened(tmp_path, np.array(["cat", "", "dog", "cat", "dog", ""])))[1] is None


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (Y + 1, r"train_image_y: labels are from 1 to 3, and none is 0; .* save train_image_y - 1"),
        (WORDS[Y].astype(object), r"train_image_y holds Python objects, .* save it as train_image_y.astype\(str\)"),
        (np.eye(3)[Y], r"train_image_y holds a row of 0 and 1 for each item; save train_image_y.argmax\(axis=1\)"),
        (Y + 0.5, "train_image_y holds 0.5; labels are whole numbers from 0"),
        (np.zeros((6, 2), int), r"image_y is int64 of shape \(6, 2\); it should be integers"),
    ],
)
def test_what_is_refused_names_the_array_and_the_way_out(tmp_path: Path, y: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        opened(tmp_path, y)


def test_a_word_that_is_no_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train_image_y holds 'owl', which is none of classes"):
        opened(tmp_path, WORDS[Y], classes=WORDS[1:])


def test_some_of_a_runs_classes_may_be_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x = np.eye(4, dtype=np.float32)
    np.savez(tmp_path / "f.npz", any_image=x, any_image_y=[1, 2, 1, 2])
    assert {s.label for s in open_dataset(tmp_path / "f.npz", manager(), tmp_path).samples} == {1, 2}
    assert "labels are from 1 to 2, and none is 0; if they count from 1" in caplog.text


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("X_train", "train_image"),
        ("y_test", "test_image_y"),
        ("features", "any_image"),
        ("val_labels", "val_image_y"),
        ("x-train", "train_image"),
    ],
)
def test_usual_names(tmp_path: Path, name: str, better: str) -> None:
    np.savez(tmp_path / "f.npz", **{name: np.zeros((2, 2), np.float32)})
    with pytest.raises(DataError, match=rf"array '{name}' is none of the form: call it {better}, or by another"):
        open_dataset(tmp_path / "f.npz", manager(), tmp_path / "cache")
