"""What is told of labels, whichever reader opened the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from xm.data import Dataset, Sample
from xm.data.checks import looked_over, speechless


def dataset(*classes: str, files: tuple[tuple[str, int], ...] = ()) -> Dataset:
    return Dataset("d", classes, tuple(Sample(Path(name), "image", label) for name, label in files))


def test_capitals_and_blanks(caplog: pytest.LogCaptureFixture) -> None:
    looked_over(dataset("Bar", "Café", "bar", "café", "hot dog", "hot_dog", "owl"))
    (said,) = caplog.messages
    assert "'Bar' and 'bar', 'Café' and 'café', 'hot dog' and 'hot_dog' differ in capitals or blanks alone" in said


def test_files_of_two_labels(caplog: pytest.LogCaptureFixture) -> None:
    files = [(f"{i}.png", 0) for i in range(6)]
    looked_over(dataset("cat", "dog", files=tuple(files)))
    assert not caplog.messages
    looked_over(dataset("cat", "dog", files=(*files, ("./1.png", 1), *((f"{i}.png", 1) for i in range(2, 5)))))
    (said,) = caplog.messages
    assert "4 files have several labels" in said and "1.png ('cat' and 'dog')" in said and said.endswith("and 1 more")


def test_labels_that_look_like_several() -> None:
    assert looked_over(dataset("dog", "dog;cat")).notes == ("An item has one label: 'dog;cat' is a class of its own.",)
    assert looked_over(dataset("dog", ";", "tench, Tinca tinca")).notes == ()


@pytest.mark.parametrize("name", ["00001", "3", "class 3", "n02123045"])
def test_names_that_say_nothing(name: str) -> None:
    found = dataset(name, "owl")
    assert repr(name) in speechless(found) and "classes.txt" in speechless(found)
    assert speechless(dataset(name, "owl", "cat")) == "" == speechless(dataset("707-320", "n0212304"))
    assert speechless(replace(found, described=True)) == ""
