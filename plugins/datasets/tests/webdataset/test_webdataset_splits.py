"""What is said of splits that names of shards say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xm import Dataset

Open = Callable[..., Dataset]


def test_a_word_that_is_no_split_is_told(
    opened: Open, toys: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, name in enumerate(("train-station", "airport", "pier")):
        toys.write_tar(tmp_path / f"{name}-0.tar", {"1.png": toys.png("red", number), "1.cls": number})
    dataset = opened(str(tmp_path / "*.tar"))
    assert dataset.notes == ("Splits of 1 of 3 shards are from their names (train-station-0.tar: train).",)
    (said,) = caplog.messages
    assert "train-station-0.tar: its name says split train, those of 2 others" in said and "rename the shard" in said


@pytest.mark.parametrize(("name", "split"), [("dev-0", "val"), ("training-0", "train"), ("evaluation-0", "test")])
def test_other_words(opened: Open, toys: Any, name: str, split: str, caplog: pytest.LogCaptureFixture) -> None:
    files = {"1.png": toys.png("red", 1), "1.json": {"label": "a"}, "2.png": toys.png("red", 2)}
    dataset = opened(files | {"2.json": {"label": "b", "split": "Testing"}}, f"{name}.tar")
    assert [sample.split for sample in dataset.samples] == [split, "test"]
    assert not caplog.messages and f"({name}.tar: {split})" in dataset.notes[0]
