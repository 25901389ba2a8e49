"""Seen and unseen classes of tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from xm.data import Dataset, Draws, Sample
from xm.data.noise import corrupted
from xm.data.task import Task
from xm.data.unlabelled import Unlabelled, of_split
from xm.data.unseen import listed, unseen_classes, without_samples
from xm.foundation.errors import DataError, UsageError

CLASSES = ("ant", "bee", "hot dog", "cat", "eel")


@pytest.mark.parametrize(("classes", "expected"), [(CLASSES, {3, 4}), (CLASSES[:4], {2, 3}), (CLASSES[:3], {2})])
def test_half_leaves_the_larger_first_half(classes: tuple[str, ...], expected: set[int]) -> None:
    assert unseen_classes("half", classes, seed=1) == expected == unseen_classes("half", classes, seed=2)


def test_a_number_is_drawn_by_the_seed() -> None:
    classes = [f"class {i}" for i in range(40)]
    found = [unseen_classes("7", classes, seed) for seed in (1, 2, 1)]
    assert [len(labels) for labels in found] == [7, 7, 7]
    assert found[0] == found[2] != found[1]


def test_names_are_read_from_a_file_as_written_or_in_words(tmp_path: Path) -> None:
    file = tmp_path / "unseen.txt"
    file.write_text("eel\n\nHot_Dog\n", encoding="utf-8")
    assert unseen_classes(str(file), CLASSES, seed=1) == {2, 4}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("0", "0 of 5 classes would be unseen; one at least must be"),
        ("4", "4 of 5 classes would be unseen; one at least must be, and two are needed to learn from"),
        ("halves", "--unseen halves: no such file.*; or say half"),
    ],
)
def test_too_many_none_and_no_file_are_one_line(given: str, said: str) -> None:
    with pytest.raises((UsageError, DataError), match=said):
        unseen_classes(given, CLASSES, seed=1)


def test_a_line_that_is_no_class_is_named(tmp_path: Path) -> None:
    file = tmp_path / "unseen.txt"
    file.write_text("eel\nbeee\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"unseen\.txt, line 2: unknown class 'beee': did you mean 'bee'"):
        unseen_classes(str(file), CLASSES, seed=1)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="can't be read as text"):
        unseen_classes(str(file), CLASSES, seed=1)


def test_names_in_a_sentence() -> None:
    assert listed({4, 0}, CLASSES) == "ant, eel"
    assert listed(range(7), "abcdefg") == "a, b, c, d, e and 2 more"  # type: ignore[arg-type]


def dataset(
    val: bool = True, draws: Mapping[tuple[int, int], Mapping[str, tuple[Sample, ...]]] | None = None
) -> Dataset:
    splits = {"train": 4, "val": 2 if val else 0, "test": 2}
    samples = [
        Sample(f"{name} {modality} {split} {i}", modality, label, split, pair=f"{name}{i}")
        for label, name in enumerate(CLASSES)
        for modality in ("image", "audio")
        for split, count in splits.items()
        for i in range(count)
    ]
    return Dataset("toy", CLASSES, tuple(samples), draws=draws or {})


def task(data: Dataset, seen: frozenset[int] | None = frozenset({0, 2, 3}), shots: int = 2) -> Task:
    return Draws(data).task(target="image", aux=("audio", "text"), shots=shots, seed=1, names=("text",), seen=seen)


def labels(drawn: Task, split: str, modality: str = "image") -> set[int | None]:
    return {sample.label for sample in drawn.samples[split][modality]}


@pytest.mark.parametrize("val", [True, False])
def test_unseen_classes_have_no_target_sample_in_train_and_val(val: bool) -> None:
    drawn = task(dataset(val))
    assert drawn.seen == {0, 2, 3} == labels(drawn, "train") == labels(drawn, "val")
    assert labels(drawn, "test") == labels(drawn, "train", "audio") == labels(drawn, "train", "text") == {0, 1, 2, 3, 4}


def test_seen_classes_have_the_samples_that_they_have_without_unseen_ones() -> None:
    whole, part = task(dataset(), None), task(dataset())
    kept = tuple(s for s in whole.samples["train"]["image"] if s.label in (0, 2, 3))
    assert part.samples["train"]["image"] == kept
    assert whole.seen is None and whole.digest != part.digest


def test_what_unseen_classes_lack_is_neither_an_error_nor_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    whole = dataset()
    lacking = without_samples(whole, "image", {1})
    test_only = Dataset("toy", CLASSES, (*lacking.samples, Sample("bee image test 9", "image", 1, "test")))
    with pytest.raises(DataError, match=r"class 'bee' has 1 image items in test .* in a file of unseen.*--unseen FILE"):
        task(test_only, None)
    with caplog.at_level(logging.WARNING):
        task(test_only, frozenset({0, 2, 3}))
    assert not caplog.records
    assert {s.label for s in lacking.samples if s.modality == "audio"} == set(range(5))
    assert without_samples(whole, "image", ()) is whole


def test_published_draws_are_used_for_seen_classes(caplog: pytest.LogCaptureFixture) -> None:
    data = dataset()
    drawn = {
        split: tuple(s for s in data.samples if (s.modality, s.split) == ("image", split)) for split in ("train", "val")
    }
    published = task(dataset(draws={(2, 1): drawn}))
    assert published.samples["train"]["image"] == tuple(s for s in drawn["train"] if s.label in (0, 2, 3))
    assert published.samples["val"]["image"] == tuple(s for s in drawn["val"] if s.label in (0, 2, 3))


def test_unlabelled_items_may_be_of_unseen_classes() -> None:
    data = dataset()
    found = Unlabelled(data, of_split(data, "train")).of(task(data)).unlabelled["image"]
    assert any("bee" in sample.item for sample in found) and all(sample.label is None for sample in found)


def test_wrong_labels_are_of_seen_classes() -> None:
    samples = [Sample(f"{i}", "image", i % 2) for i in range(40)]
    assert {s.label for s in corrupted(samples, [0, 1, 4], 1.0, "key")} == {0, 1, 4}
