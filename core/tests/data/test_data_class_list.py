"""Names for class folders, from a list in the folder that holds them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xm.data import Dataset
from xm.data.folder import open_folder


def read(root: Path, folders: list[str], text: str, file: str = "classes.txt") -> Dataset:
    for name in folders:
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / "1.png").touch()
    (root / file).write_text(text, encoding="utf-8")
    return open_folder(str(root), suffixes={".png": "image"}, cache=Path("unused"))


IDS = ["n01", "n02", "n10"]


@pytest.mark.parametrize(
    "text",
    [
        "n10\towl\nn01\ttabby cat\nn02\tdog\n",
        "n01,tabby cat\nn02, dog\nn10 ,owl\nn99,emu\n",
        "n01 tabby cat\nn02 dog\nn10 owl",
    ],
)
def test_by_folder(tmp_path: Path, text: str) -> None:
    data = read(tmp_path, IDS, text)
    assert data.classes == ("tabby cat", "dog", "owl")
    assert data.notes == (f"Class names are those of {tmp_path / 'classes.txt'}.",)


def test_in_order_numbers_count(tmp_path: Path) -> None:
    data = read(tmp_path, ["1", "2", "10"], "cat\ndog\nowl\n", "classnames.txt")
    named = {data.classes[s.label or 0]: s.item.parent.name for s in data.samples}
    assert named == {"cat": "1", "dog": "2", "owl": "10"}


def test_json_and_names_that_are_there_twice(tmp_path: Path) -> None:
    data = read(tmp_path, IDS, json.dumps({"n01": "crane", "n02": "crane", "n10": "owl"}), "classes.json")
    assert data.classes == ("crane (n01)", "crane (n02)", "owl")


def test_a_list_of_the_folders_changes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, ["cat", "dog"], "dog\ncat\n").classes == ("cat", "dog")


@pytest.mark.parametrize("text", ["1 n01\n2 n02\n3 n10\n", "cat\ndog\n", "", "\x00"])
def test_a_list_that_does_not_fit_is_told_and_left(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert read(tmp_path, IDS, text).classes == ("n01", "n02", "n10")
    assert "is not used for class names" in caplog.text


def test_folders_without_a_name_keep_their_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read(tmp_path, IDS, "n01\tcat\n").classes == ("cat", "n02", "n10")
    assert "no name for folder 'n02' and 1 more" in caplog.text
