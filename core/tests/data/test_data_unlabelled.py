"""Unlabelled items of tasks: whose they may be, and that nothing of their labels is left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xm.data.contents import Contents
from xm.data.draws import Draws
from xm.data.task import Task
from xm.data.types import Dataset, Sample
from xm.data.unlabelled import Unlabelled, check_unlabelled, of_split, open_unlabelled
from xm.foundation.errors import DataError
from xm.plugins.plugin_manager import PluginManager

SIZES = {"train": 10, "val": 2, "test": 4}


def dataset(**more: Any) -> Dataset:
    samples = [
        Sample(f"{split} {label} {n}", "text", label, split, pair=f"{split}{label}{n}", tags=("a",))
        for split, size in SIZES.items()
        for label in range(3)
        for n in range(size)
    ]
    return Dataset("three", ("a", "b", "c"), tuple(samples), **more)


def task(data: Dataset, shots: int = 2, seed: int = 1) -> Task:
    return Draws(data).task(target="text", shots=shots, seed=seed)


def drawn(data: Dataset, given: Task, **more: Any) -> tuple[Sample, ...]:
    return Unlabelled(data, of_split(data, "train"), **more).of(given).unlabelled["text"]


def items(samples: Iterable[Sample]) -> set[str]:
    return {sample.item for sample in samples}


def test_the_rest_is_what_neither_the_draw_nor_val_took() -> None:
    data = dataset()
    given = task(data)
    found = drawn(data, given)
    train = {sample.item for sample in data.samples if sample.split == "train"}
    assert items(found) == train - items(given.samples["train"]["text"]) and len(found) == 30 - 6


def test_val_that_was_taken_from_train_is_left_out() -> None:
    data = dataset()
    data = replace(data, samples=tuple(s for s in data.samples if s.split != "val"))
    given = task(data)
    val = items(given.samples["val"]["text"])
    assert val and not items(drawn(data, given)) & val


def test_nothing_of_a_label_is_left() -> None:
    """No label, pair or tag; and an order that is not that of the classes."""
    found = drawn(dataset(), task(dataset()))
    assert {(s.label, s.pair, s.tags) for s in found} == {(None, None, ())}
    classes = [sample.item.split()[1] for sample in found]
    assert classes != sorted(classes)


def test_the_order_depends_on_the_seed_alone() -> None:
    """What many shots leave is, in its order, part of what few leave; another seed has another order."""
    data = dataset()
    one, eight = (drawn(data, task(data, shots)) for shots in (1, 8))
    left = items(eight)
    assert [s.item for s in one if s.item in left] == [s.item for s in eight]
    assert [s.item for s in drawn(data, task(data, 1, seed=2))] != [s.item for s in one]


def test_the_same_object_for_the_same_sample() -> None:
    data = dataset()
    maker = Unlabelled(data, of_split(data, "train"))
    one, other = (maker.of(task(data, shots)).unlabelled["text"] for shots in (1, 8))
    assert {id(sample) for sample in other} < {id(sample) for sample in one}


def test_the_digest_of_the_task_is_as_without() -> None:
    data = dataset()
    given = task(data)
    found = Unlabelled(data, of_split(data, "train")).of(given)
    assert found.digest == given.digest and given.unlabelled_digest == ""
    assert len(found.unlabelled_digest) == 32
    assert found.unlabelled_digest != Unlabelled(data, of_split(data, "train"), 5).of(given).unlabelled_digest


def test_no_more_than_the_limit() -> None:
    data = dataset()
    found = drawn(data, task(data), limit=5)
    assert len(found) == 5
    assert [s.item for s in found] == [s.item for s in drawn(data, task(data))][:5]


def test_items_without_a_label_count_and_other_splits_do_not() -> None:
    more = (Sample("new", "text", None, "train"), Sample("far", "text", None, "pool"))
    data = dataset()
    data = replace(data, samples=data.samples + more)
    assert "new" in items(drawn(data, task(data)))
    assert "far" not in items(drawn(data, task(data)))
    assert items(Unlabelled(data, of_split(data, "pool")).of(task(data)).unlabelled["text"]) == {"far"}


def test_groups_of_val_and_test_stay_whole() -> None:
    """An item of the user's, or without a label, may be of a speaker that is held out."""
    data = dataset()
    speakers = tuple(replace(s, group="held out" if s.split == "test" else "others") for s in data.samples)
    more = (Sample("one", "text", None, "train", "held out"), Sample("two", "text", None, "train", "new"))
    data = replace(data, samples=speakers + more)
    assert items(drawn(data, task(data))) & {"one", "two"} == {"two"}


def test_a_folder_of_any_depth_and_copies_of_test_are_left_out(
    images: Path, plugins: PluginManager, tmp_path: Path, toy: Any
) -> None:
    folder = tmp_path / "camera" / "2026" / "May"
    folder.mkdir(parents=True)
    (folder / "a.toy").write_text("cat 77")
    (folder / "b.txt").write_text("a text")
    (folder / ".hidden.toy").write_text("cat 78")
    test = Sample(images / "cat" / "3.toy", "image", 0, "test")
    (folder / "copy.toy").write_bytes(test.item.read_bytes())
    given = open_unlabelled(str(tmp_path / "camera"), ("image",), plugins, tmp_path)
    assert [sample.item.name for sample in given["image"]] == ["a.toy", "copy.toy"]
    train = tuple(Sample(images / name / "0.toy", "image", k, "train") for k, name in enumerate(("cat", "cow")))
    data = Dataset("two", ("cat", "cow"), (*train, test))
    few = Draws(data).task(target="image", shots=1, seed=1)
    found = Unlabelled(data, given, key=Contents().key).of(few)
    assert [sample.item.name for sample in found.unlabelled["image"]] == ["a.toy"]


def test_other_data_without_a_look_at_labels(table: Path, plugins: PluginManager, tmp_path: Path) -> None:
    found = open_unlabelled(str(table), ("image",), plugins, tmp_path)
    assert set(found) == {"image"} and len(found["image"]) > 50


@pytest.mark.parametrize(
    ("source", "said"),
    [("nothing", "no such folder.*or say rest"), (".", "holds no item of video"), ("Rest", "or say rest")],
)
def test_what_is_not_there_is_said(
    source: str, said: str, plugins: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=said):
        open_unlabelled(source, ("video",), plugins, tmp_path)


def test_a_task_that_leaves_nothing_is_named() -> None:
    data = dataset()
    given = Unlabelled(data, of_split(data, "train")).of(task(data, shots=10))
    with pytest.raises(DataError, match="leaves no text item for shots 10, seed 1; take fewer --shots"):
        check_unlabelled([given], "rest")
