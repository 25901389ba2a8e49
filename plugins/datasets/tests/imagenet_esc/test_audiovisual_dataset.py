"""The datasets, opened by name."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from xm import DataError, Dataset, DatasetSpec
from xm.data import Draws, open_dataset, split_dataset
from xm.plugins import manager
from xm.testing import DatasetConformance
from xm_datasets.imagenet_esc.classes import CALTECH_ESC, IMAGENET_ESC_19, IMAGENET_ESC_27, RECORDS

Open = Callable[[str], Dataset]
META = "esc-50/ESC-50-master/meta/esc50.csv"
SPLIT_FILE = "caltech-101/split_zhou_Caltech101.json"
REAL = os.environ.get("XM_DATA")


class TestImageNetEsc(DatasetConformance):
    @pytest.fixture(params=["imagenet-esc-19", "imagenet-esc-27"])
    def spec(self, request: pytest.FixtureRequest, imagenet_esc: Path) -> DatasetSpec:
        return manager().datasets.find(request.param)


class TestCaltechEsc(DatasetConformance):
    @pytest.fixture
    def spec(self, caltech_esc: Path) -> DatasetSpec:
        return manager().datasets.find("caltech-esc")


def test_class_maps_are_the_papers() -> None:
    """The tables of the paper: 19 of the 27, in the order of ImageNet's labels; nothing is there twice."""
    assert (len(IMAGENET_ESC_27), len(IMAGENET_ESC_19), len(CALTECH_ESC)) == (27, 19, 6)
    for pairs in (IMAGENET_ESC_27, IMAGENET_ESC_19, CALTECH_ESC):
        assert all(len(set(column)) == len(pairs) for column in zip(*pairs, strict=True))
    wnids = [pair.images for pair in IMAGENET_ESC_27]
    assert wnids == sorted(wnids)
    left_out = [(pair.name, pair.sounds) for pair in IMAGENET_ESC_27 if pair not in IMAGENET_ESC_19]
    assert left_out == [
        ("can opener", "can_opening"),
        ("church", "church_bells"),
        ("fire screen", "crackling_fire"),
        ("toilet seat", "toilet_flush"),
        ("sink", "water_drops"),
        ("water bottle", "drinking_sipping"),
        ("water jug", "pouring_water"),
        ("sandbar", "sea_waves"),
    ]


def test_splits_of_images_are_given_and_folds_of_sounds_are_groups(imagenet_esc: Path, opened: Open) -> None:
    dataset = opened("imagenet-esc-19")
    assert dataset.classes == tuple(pair.name for pair in IMAGENET_ESC_19)
    counts = Counter((s.modality, s.split, s.group) for s in dataset.samples)
    sounds = {("audio", None, f"fold {fold}"): 4 * 19 for fold in range(1, 6)}
    assert (
        counts == {("image", "train", None): 5 * 19, ("image", "val", None): 19, ("image", "test", None): 38} | sounds
    )
    for sample in dataset.samples:
        assert sample.label is not None and isinstance(sample.item, Path)
        assert sample.item.read_text().rpartition(" ")[0] == dataset.classes[sample.label]
    for sample in split_dataset(dataset, fractions=(0.2, 0, 0.8)).samples:
        if sample.modality == "image":
            assert sample.split == {"train": "train", "val": "test"}[sample.item.parts[-3]] or sample.split == "val"


def test_published_draws_are_used(imagenet_esc: Path, opened: Open) -> None:
    dataset = split_dataset(opened("imagenet-esc-27"))
    assert dataset.draws.keys() == {(1, 1), (1, 2)}
    assert any("2 published draws" in note for note in dataset.notes)
    task = Draws(dataset).task(target="image", aux=("audio",), shots=1, seed=2)
    assert [s.item.name for s in task.samples["train"]["image"]] == [f"{p.images}_2.JPEG" for p in IMAGENET_ESC_27]
    assert [s.item.name for s in task.samples["val"]["image"]] == [f"{p.images}_5.JPEG" for p in IMAGENET_ESC_27]


def test_a_draw_whose_images_are_missing_is_left_out(imagenet_esc: Path, opened: Open) -> None:
    (imagenet_esc / "imagenet/images/train/n01514668/n01514668_2.JPEG").unlink()
    dataset = opened("imagenet-esc-19")
    assert dataset.draws.keys() == {(1, 1)}
    assert any("1 published draws are left out" in note for note in dataset.notes)


def test_without_draws_val_is_taken_from_train(imagenet_esc: Path, opened: Open) -> None:
    for file in (imagenet_esc / "imagenet/few_shot").iterdir():
        file.unlink()
    dataset = opened("imagenet-esc-19")
    assert not dataset.draws and "val" not in {s.split for s in dataset.samples}
    task = Draws(split_dataset(dataset)).task(target="image", shots=2, seed=1)
    assert len(task.samples["train"]["image"]) == len(task.samples["val"]["image"]) == 2 * 19
    assert not set(task.samples["train"]["image"]) & set(task.samples["val"]["image"])


def test_esc_50_may_lie_in_its_folder_without_the_archives(imagenet_esc: Path, opened: Open) -> None:
    before = opened("imagenet-esc-19")
    for path in (imagenet_esc / "esc-50/ESC-50-master").iterdir():
        path.rename(imagenet_esc / "esc-50" / path.name)
    assert len(opened("imagenet-esc-19").samples) == len(before.samples)


def test_esc_10_may_lie_in_the_folder_of_its_archive(caltech_esc: Path, opened: Open) -> None:
    before = opened("caltech-esc")
    (caltech_esc / "esc-10").rename(caltech_esc / "ESC-10-master")
    (caltech_esc / "esc-10").mkdir()
    (caltech_esc / "ESC-10-master").rename(caltech_esc / "esc-10/ESC-10-master")
    assert len(opened("caltech-esc").samples) == len(before.samples)


def test_caltech_files_that_are_not_there(caltech_esc: Path, opened: Open) -> None:
    objects = caltech_esc / "caltech-101/101_ObjectCategories"
    (objects / "watch/train_0.jpg").unlink()
    (objects / "ketch/val_0.jpg").unlink()
    dataset = opened("caltech-esc")
    assert sum(s.modality == "image" for s in dataset.samples) == 6 * 15 - 2
    assert "2 images of train and val are not on disk and left out." in dataset.notes
    (objects / "watch/test_0.jpg").unlink()
    with pytest.raises(DataError, match=r"watch/test_0\.jpg: no such file; get caltech-101 as https"):
        opened("caltech-esc")


@pytest.mark.parametrize("name", RECORDS)
def test_without_xm_data(name: str, monkeypatch: pytest.MonkeyPatch, opened: Open) -> None:
    monkeypatch.delenv("XM_DATA", raising=False)
    with pytest.raises(DataError, match=r"as XM_DATA is not set; get .* then type: export XM_DATA=DIR"):
        opened(name)


@pytest.mark.parametrize(
    "absent", ["esc-50", META, "imagenet", "imagenet/images/val", "imagenet/images/train/n03000684"]
)
def test_what_is_missing_is_named(absent: str, imagenet_esc: Path, opened: Open) -> None:
    path = imagenet_esc / absent
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(DataError) as caught:
        opened("imagenet-esc-27")
    assert str(path) in str(caught.value) and "https://" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("filename,category\na.wav,rooster\n", "no column 'fold'"),
        ("filename,fold,category\na.wav,one,rooster\n", "line 2: fold 'one' is no number"),
        ("filename,fold,category\na.wav,1,rooster\n", "a.wav: no such file"),
        ("filename,fold,category\n", "no clip of category 'rooster'"),
    ],
)
def test_a_table_of_clips_that_does_not_fit(text: str, said: str, imagenet_esc: Path, opened: Open) -> None:
    (imagenet_esc / META).write_text(text)
    with pytest.raises(DataError, match=said):
        opened("imagenet-esc-19")


def test_bytes_that_are_no_text(imagenet_esc: Path, opened: Open) -> None:
    (imagenet_esc / META).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"esc50\.csv: is not UTF-8"):
        opened("imagenet-esc-19")


def test_an_empty_class_folder(imagenet_esc: Path, opened: Open) -> None:
    folder = imagenet_esc / "imagenet/images/val/n03000684"
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(DataError, match="n03000684: holds no file; get imagenet as"):
        opened("imagenet-esc-19")


def test_val_as_it_comes_without_folders(imagenet_esc: Path, opened: Open) -> None:
    (imagenet_esc / "imagenet/images/val/ILSVRC2012_val_00000001.JPEG").touch()
    with pytest.raises(DataError, match=r"images/val: holds images, not a folder for each class; sort them as https"):
        opened("imagenet-esc-19")


def test_what_is_no_image_is_passed_over(imagenet_esc: Path, opened: Open) -> None:
    before = opened("imagenet-esc-19").samples
    folder = imagenet_esc / "imagenet/images/train/n01514668"
    (folder / ".DS_Store").touch()
    (folder / "boxes").mkdir()
    assert opened("imagenet-esc-19").samples == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "holds a list, not an object of splits"),
        ('{"train": 3}', "train is no list of rows"),
        ('{"train": [[0, 1]]}', r"train: \[0, 1\] is not \[path, label, class name\]"),
        ('{"train": []}', "train has no image of Faces; it must be CoOp's split file"),
    ],
)
def test_a_split_file_that_does_not_fit(text: str, said: str, caltech_esc: Path, opened: Open) -> None:
    (caltech_esc / SPLIT_FILE).write_text(text)
    with pytest.raises(DataError, match=said):
        opened("caltech-esc")


def test_a_draw_that_does_not_fit(imagenet_esc: Path, opened: Open) -> None:
    (imagenet_esc / "imagenet/few_shot/shot_4-seed_1.json").write_text(json.dumps({"train": [{"path": "a"}]}))
    with pytest.raises(DataError, match=r"shot_4-seed_1\.json: train: .* is not \[path"):
        opened("imagenet-esc-19")


def test_a_clip_without_a_fold(caltech_esc: Path, opened: Open) -> None:
    next((caltech_esc / "esc-10").glob("*Rooster/1-*")).rename(caltech_esc / "esc-10/005 - Rooster/crow.ogg")
    with pytest.raises(DataError, match=r"crow\.ogg: the name has no fold"):
        opened("caltech-esc")


def test_a_folder_of_sounds_that_is_missing(caltech_esc: Path, opened: Open) -> None:
    next((caltech_esc / "esc-10").glob("*Rooster")).rename(caltech_esc / "elsewhere")
    with pytest.raises(DataError, match="esc-10/Rooster: no such folder; get esc-10 as"):
        opened("caltech-esc")


@pytest.mark.skipif(REAL is None, reason="XM_DATA is not set: the real data are not looked at")
def test_the_real_caltech_esc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset("caltech-esc", manager(), tmp_path)
    counts = Counter((s.modality, s.split, s.group) for s in dataset.samples)
    assert counts["image", "test", None] == 15 + 20 + 26 + 71 + 130 + 34
    assert {counts["audio", None, f"fold {fold}"] for fold in range(1, 6)} == {8 * 6}
