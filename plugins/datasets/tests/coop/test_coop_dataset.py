"""The reader `coop`: a made-up dataset in CoOp's layout, and Caltech-101 as published."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from xm import DataError, Dataset, DatasetSpec
from xm.data import Draws, Task, open_dataset
from xm.plugins import manager
from xm.testing import DatasetConformance
from xm_datasets.coop.dataset import open_coop

CLASSES = ("sea_horse", "yin_yang", "emu")
SUFFIXES = {".png": "image", ".jpg": "image"}
SIZES = {"train": 6, "val": 3, "test": 4}


def row(split: str, label: int, number: int) -> list[Any]:
    return [f"{CLASSES[label]}/{split}_{number}.png", label, CLASSES[label]]


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def draw(*numbers: int) -> dict[str, list[list[Any]]]:
    """Train items of these numbers, and the last of val."""
    return {
        "train": [row("train", label, number) for label in range(3) for number in numbers],
        "val": [row("val", label, 2) for label in range(3)],
    }


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three classes, with draws for 1 and 2 shots, in the folder images/ beside the split file."""
    rows = {split: [row(split, label, i) for label in range(3) for i in range(n)] for split, n in SIZES.items()}
    for split, listed in rows.items():
        for path, label, _ in listed:
            image = tmp_path / "toys" / "images" / path
            image.parent.mkdir(parents=True, exist_ok=True)
            number = int(image.stem.rpartition("_")[2])
            Image.new("RGB", (4, 4), (80 * label, 20 * number, 10 * len(split))).save(image)
    table = tmp_path / "toys" / "split_zhou_Toys.json"
    write(table, rows)
    write(table.parent / "few_shot" / "shot_1-seed_1.json", draw(4))
    write(table.parent / "few_shot" / "shot_2-seed_1.json", draw(5, 1))
    return table


def read(table: Path) -> Dataset:
    return open_coop(str(table), suffixes=SUFFIXES, cache=table.parent / "cache")


def task(data: Dataset, shots: int, seed: int, **more: Any) -> Task:
    return Draws(data).task(target="image", shots=shots, seed=seed, **more)


def paths(task: Task, split: str) -> list[str]:
    return [sample.item.relative_to(sample.item.parents[1]).as_posix() for sample in task.samples[split]["image"]]


class TestConformance(DatasetConformance):
    @pytest.fixture
    def spec(self) -> DatasetSpec:
        return manager().datasets.find("coop")

    @pytest.fixture
    def source(self, table: Path) -> str:
        return str(table)


def test_what_is_read(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = read(table)
    assert (data.name, data.classes) == ("Toys", ("sea horse", "yin yang", "emu"))
    assert Counter(sample.split for sample in data.samples) == {split: 3 * n for split, n in SIZES.items()}
    assert {sample.modality for sample in data.samples} == {"image"} and not caplog.messages
    assert data.samples[0].item == table.parent / "images" / "sea_horse" / "train_0.png"
    assert data.notes == (
        "Published draws (few_shot/ beside split_zhou_Toys.json), used as they are: shots 1, 2 with seeds 1. "
        "Others are drawn here.",
    )


def test_images_beside_the_split_file_and_no_draws(table: Path) -> None:
    for folder in list((table.parent / "images").iterdir()):
        folder.rename(table.parent / folder.name)
    for file in (table.parent / "few_shot").iterdir():
        file.unlink()
    data = read(table)
    assert data.samples[0].item == table.parent / "sea_horse" / "train_0.png"
    assert not data.draws and not data.notes


def test_published_draws_are_used_as_they_are(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = read(table)
    for shots, numbers in ((1, (4,)), (2, (5, 1))):
        found = task(data, shots, 1)
        for split in ("train", "val"):
            assert paths(found, split) == [path for path, _, _ in draw(*numbers)[split]]
    assert len(paths(task(data, 2, 1, val_shots=3), "val")) == 9
    assert not caplog.messages


def test_other_draws_are_drawn(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = read(table)
    assert Counter(s.label for s in task(data, 3, 1).samples["train"]["image"]) == {0: 3, 1: 3, 2: 3}
    (message,) = caplog.messages
    assert message.startswith("Toys: no draw of image was published for shots 3, seed 1; it is drawn here")


def test_draws_as_in_the_repository_of_lin_et_al(table: Path) -> None:
    def whole(rows: list[list[Any]]) -> dict[str, Any]:
        at = "./data/toys/images"
        return {"data": [{"impath": f"{at}/{path}", "label": label, "classname": name} for path, label, name in rows]}

    before = read(table).draws
    file = table.parent / "few_shot" / "shot_2-seed_1.json"
    write(file, {split: whole(rows) for split, rows in draw(5, 1).items()})
    assert read(table).draws == before


def test_missing_files_of_train_and_val_are_left_out(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = table.parent / "images"
    for name in ("emu/train_5.png", "emu/train_0.png", "emu/val_0.png"):
        (images / name).unlink()
    data = read(table)
    assert Counter(sample.split for sample in data.samples) == {"train": 16, "val": 8, "test": 12}
    assert set(data.draws) == {(1, 1)}
    assert caplog.messages == [
        f"{table}: files that are not in {images} are left out: 2 of train and 1 of val; "
        "so are the published draws that need them: shot_2-seed_1.json"
    ]


def test_missing_files_of_test(table: Path) -> None:
    for name in ("emu/test_1.png", "emu/test_3.png"):
        (table.parent / "images" / name).unlink()
    with pytest.raises(DataError, match=r"images/emu/test_1.png: no such file.*in test; 2 files of test are missing"):
        read(table)


def test_no_images(table: Path) -> None:
    (table.parent / "images").rename(table.parent.parent / "elsewhere")
    with pytest.raises(DataError) as caught:
        read(table)
    assert str(caught.value) == (
        f"{table}: sea_horse/train_0.png is neither in {table.parent} nor in a folder there (few_shot); "
        "put the dataset's folder of images beside the split file"
    )


def change(**more: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda rows: {**rows, **more}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (lambda rows: [], "it holds a list"),
        (lambda rows: {"settings": 1}, "'settings' is no split"),
        (lambda rows: draw(1), "it has no test"),
        (change(test=[]), "it has no test"),
        (change(val="x"), "val is a str"),
        (change(val=[row("val", 0, 0), ["a.png", "0", "emu"]]), r"val\[1\] is \['a.png', '0', 'emu'\]"),
        (change(val=[{"path": "a.png"}]), r"val\[0\] is "),
    ],
)
def test_json_of_another_form(table: Path, changed: Callable[[dict[str, Any]], Any], reason: str) -> None:
    write(table, changed(json.loads(table.read_text())))
    with pytest.raises(
        DataError, match=rf"Toys.json: {reason}.*; a .json file must be a split file of CoOp's"
    ) as caught:
        read(table)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"{", "is not JSON: "), (b"[" * 100_000, "is not JSON: "), (b"\xff\xfe", "is not UTF-8 ")],
)
def test_no_json(table: Path, content: bytes, reason: str) -> None:
    table.write_bytes(content)
    with pytest.raises(DataError, match=f"Toys.json: {reason}"):
        read(table)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (["emu/a.png", 5, "emu"], "labels should be 0 to 3; 3 is missing"),
        (["emu/a.png", 2, "owl"], "val: label 2 is 'emu' and 'owl'"),
        (["emu/a.png", 3, "sea horse"], "two labels are called 'sea horse'"),
        (["emu/a.png", 3, "_"], "val: emu/a.png has a class without a name"),
        (["emu/a.xyz", 2, "emu"], "emu/a.xyz: no encoder reads such a file .they read .jpg, .png"),
    ],
)
def test_rows_that_do_not_fit(table: Path, wrong: list[Any], reason: str) -> None:
    rows = json.loads(table.read_text())
    write(table, {**rows, "val": [*rows["val"], wrong]})
    with pytest.raises(DataError, match=f"Toys.json: {reason}"):
        read(table)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"train": [row("test", 0, 0)]}, "sea_horse/test_0.png with label 0 is not in train of split_zhou_Toys.json"),
        ({"train": [["emu/train_0.png", 0, "emu"]]}, "emu/train_0.png with label 0 is not in train"),
        ({"train": [row("train", 0, 0)], "test": [row("test", 0, 0)]}, "has a test; a published draw is of train"),
        ({"val": [row("val", 0, 0)]}, "it has no train"),
    ],
)
def test_draws_that_do_not_fit(table: Path, content: Any, reason: str) -> None:
    write(table.parent / "few_shot" / "shot_4-seed_2.json", content)
    with pytest.raises(DataError, match=f"shot_4-seed_2.json: {reason}"):
        read(table)


@pytest.mark.skipif("XM_DATA" not in os.environ, reason="XM_DATA is not set: the real data are not looked at")
def test_caltech_101() -> None:
    folder = Path(os.environ["XM_DATA"], "caltech-101")
    data = open_dataset(folder / "split_zhou_Caltech101.json", manager(), folder)
    assert data.name == "Caltech101" and len(data.classes) == 100 and "ceiling fan" in data.classes
    assert sum(sample.split == "test" for sample in data.samples) == 2465
    assert set(data.draws) == {(shots, seed) for shots in (1, 2, 4, 8, 16) for seed in (1, 2, 3)}
    draws = Draws(data)
    for shots, seed in data.draws:
        listed = json.loads((folder / "few_shot" / f"shot_{shots}-seed_{seed}.json").read_text())
        found = draws.task(target="image", shots=shots, seed=seed)
        for split in ("train", "val"):
            assert paths(found, split) == [path for path, _, _ in listed[split]]
            assert [sample.label for sample in found.samples[split]["image"]] == [
                label for _, label, _ in listed[split]
            ]
