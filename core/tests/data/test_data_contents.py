"""Samples by content."""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import pytest

from xm.data import Sample
from xm.data.contents import Contents
from xm.data.naming import clean_class_name
from xm.data.task import Task
from xm.foundation.errors import ItemError


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.txt" for i in range(4)]
    for i, path in enumerate(paths):
        path.write_text(f"words {i}")
    return paths


def samples(paths: list[Path], label: int = 0) -> list[Sample]:
    return [Sample(path, "text", label, "train") for path in paths]


def test_names_and_order_do_not_count_and_content_and_labels_do(files: list[Path]) -> None:
    contents, first = Contents(), Contents().of(samples(files))
    assert contents.of(samples(files[::-1])) == first
    moved = files[0].rename(files[0].with_name("moved.txt"))
    assert contents.of(samples([moved, *files[1:]])) == first
    assert contents.of(samples([moved, *files[1:]], label=1)) != first
    assert contents.of(samples(files[1:])) != first
    files[1].write_text("other words, and more")
    assert contents.of(samples([moved, *files[1:]])) != first, "a changed file is read again"


def test_what_can_not_be_read_counts_as_that(files: list[Path]) -> None:
    files[2].unlink()
    with pytest.raises(ItemError, match="no such file"):
        Contents().key(files[2])
    assert Contents().of(samples(files)) == Contents().of(samples(files))


def task(train: list[Path], test: list[Path]) -> Task:
    drawn = {"train": {"text": tuple(samples(train))}, "val": {"text": ()}, "test": {"text": tuple(samples(test))}}
    return Task("d", ("a",), "text", 1, 1, 1, drawn, "")


def test_items_of_test_that_are_in_train_too(files: list[Path]) -> None:
    assert Contents().twice([task(files[:2], files[2:])]) == ""
    copy = files[0].with_name("copy.txt")
    copy.write_bytes(files[0].read_bytes())
    said = Contents().twice([task(files[:2], [*files[2:], copy])] * 2)
    assert said == f"1 item of test is in train or val too, byte for byte ({copy}); it says nothing of new items"


def test_names_as_macos_writes_them() -> None:
    assert clean_class_name(normalize("NFD", "Bäriger Hund")) == clean_class_name("Bäriger Hund") == "bäriger hund"
