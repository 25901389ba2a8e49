"""Which JSON files are split files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xm_datasets.coop.looks import is_split_file

ROWS = [["a.jpg", 0, "cat"]]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"train": ROWS, "val": ROWS, "test": ROWS}, True),
        ({"val": ROWS, "train": ROWS}, True),
        ({"images": [], "annotations": []}, False),
        ([["train"]], False),
        ({"train": "cats"}, False),
    ],
)
@pytest.mark.parametrize("indent", [None, 4])
def test_by_its_start(content: Any, found: bool, indent: int | None, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content, indent=indent))
    assert is_split_file(path) == found


def test_an_empty_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "file.json").touch()
    assert not is_split_file(tmp_path / "file.json")
