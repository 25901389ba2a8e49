"""Datasets by name: those of a split file, and FGVC-Aircraft, in CoOp's layout below XM_DATA."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xm import DataError, Dataset, DatasetSpec
from xm.data import Draws, open_dataset
from xm.plugins import manager
from xm.testing import DatasetConformance
from xm_datasets.coop.records import RECORDS

Paint = Callable[[str], Path]
Open = Callable[[str], Dataset]

SIZES = {"train": 3, "val": 2, "test": 2}
LAYOUTS = {
    "caltech-101": "caltech-101/101_ObjectCategories",
    "oxford-pets": "oxford_pets/images",
    "stanford-cars": "stanford_cars",
    "oxford-flowers": "oxford_flowers/jpg",
    "food-101": "food-101/images",
    "sun397": "sun397/SUN397",
    "dtd": "dtd/images",
    "eurosat": "eurosat/2750",
    "ucf101": "ucf101/UCF-101-midframes",
}
"""Where CoOp's DATASETS.md puts images."""
SPLIT_FILES = {
    "caltech-101": "split_zhou_Caltech101.json",
    "oxford-pets": "split_zhou_OxfordPets.json",
    "stanford-cars": "split_zhou_StanfordCars.json",
    "oxford-flowers": "split_zhou_OxfordFlowers.json",
    "food-101": "split_zhou_Food101.json",
    "sun397": "split_zhou_SUN397.json",
    "dtd": "split_zhou_DescribableTextures.json",
    "eurosat": "split_zhou_EuroSAT.json",
    "ucf101": "split_zhou_UCF101.json",
}
HAND_CRAFTED = {
    "caltech-101": "a photo of a {}.",
    "oxford-pets": "a photo of a {}, a type of pet.",
    "stanford-cars": "a photo of a {}.",
    "oxford-flowers": "a photo of a {}, a type of flower.",
    "food-101": "a photo of {}, a type of food.",
    "fgvc-aircraft": "a photo of a {}, a type of aircraft.",
    "sun397": "a photo of a {}.",
    "dtd": "{} texture.",
    "eurosat": "a centered satellite photo of {}.",
    "ucf101": "a photo of a person doing {}.",
}
"""CoOp's, Tip-Adapter's and Lin et al.'s alike."""
VARIANTS = ("A340-300", "F-16A/B", "Boeing 717")


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def whole(images: str, rows: list[list[Any]]) -> dict[str, Any]:
    """Rows of a draw as Lin et al. write them."""
    keys = ("impath", "label", "classname")
    return {"data": [dict(zip(keys, (f"./data/{images}/{p}", y, c), strict=True)) for p, y, c in rows], "indices": []}


def lay_out(name: str, root: Path, paint: Paint) -> Path:
    """Two classes with a published draw; the split file."""
    images = LAYOUTS[name]
    rows = {
        split: [[f"Tie_Up/{split}{i}_{y}.jpg", y, ("Tie_Up", "rest")[y]] for y in range(2) for i in range(n)]
        for split, n in SIZES.items()
    }
    for path, _, _ in (row for listed in rows.values() for row in listed):
        paint(f"{images}/{path}")
    table = root / images.partition("/")[0] / SPLIT_FILES[name]
    write(table, rows)
    draw = {"train": rows["train"][1::3], "val": rows["val"][::2]}
    write(table.parent / "few_shot" / "shot_1-seed_2.json", {split: whole(images, r) for split, r in draw.items()})
    return table


@pytest.fixture
def aircraft(root: Path, paint: Paint) -> Path:
    """Three variants; the folder."""
    folder = root / "fgvc_aircraft"
    write(folder / "variants.txt", "\n".join(VARIANTS) + "\n")
    for split, n in SIZES.items():
        ids = [(f"{len(split)}{y}{i:05}", name) for i in range(n) for y, name in enumerate(VARIANTS)]
        write(folder / f"images_variant_{split}.txt", "".join(f"{number} {name}\n" for number, name in ids))
        for number, _ in ids:
            paint(f"fgvc_aircraft/images/{number}.jpg")
    rows = {
        split: [[f"{len(split)}{y}00001.jpg", y, name] for y, name in enumerate(VARIANTS)] for split in ("train", "val")
    }
    write(folder / "few_shot" / "shot_1-seed_1.json", {s: whole("fgvc_aircraft/images", r) for s, r in rows.items()})
    return folder


class TestSplitConformance(DatasetConformance):
    @pytest.fixture
    def spec(self, root: Path, paint: Paint) -> DatasetSpec:
        lay_out("oxford-pets", root, paint)
        return manager().datasets.find("oxford-pets")


class TestAircraftConformance(DatasetConformance):
    @pytest.fixture
    def spec(self, aircraft: Path) -> DatasetSpec:
        return manager().datasets.find("fgvc-aircraft")


def test_every_record_is_a_dataset_by_name() -> None:
    assert set(RECORDS) == {*HAND_CRAFTED, "imagenet", "imagenet-v2", "imagenet-sketch", "imagenet-a", "imagenet-r"}
    for name in RECORDS:
        spec = manager().datasets.find(name)
        assert spec.opens == () and spec.summary and callable(spec.load())


@pytest.mark.parametrize("name", LAYOUTS)
def test_in_coops_layout(name: str, root: Path, paint: Paint, opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    table = lay_out(name, root, paint)
    data = opened(name)
    assert (data.name, data.classes) == (name, ("Tie Up", "rest"))
    assert Counter(s.split for s in data.samples) == {split: 2 * n for split, n in SIZES.items()}
    assert data.samples[0].item == root / LAYOUTS[name] / "Tie_Up" / "train0_0.jpg"
    assert data.templates == (HAND_CRAFTED[name],)
    task = Draws(data).task(target="image", shots=1, seed=2, aux=["text"], names=["text"])
    drawn = {split: [(s.item.name, s.label) for s in task.samples[split]["image"]] for split in ("train", "val")}
    assert drawn == {
        "train": [("train1_0.jpg", 0), ("train1_1.jpg", 1)],
        "val": [("val0_0.jpg", 0), ("val0_1.jpg", 1)],
    }
    assert [s.item for s in task.samples["train"]["text"]] == [HAND_CRAFTED[name].format(c) for c in data.classes]
    by_path = open_dataset(table, manager(), root)
    assert (by_path.classes, by_path.samples, by_path.draws) == (data.classes, data.samples, data.draws)
    assert (by_path.templates, by_path.template_sets) == (("{}",), data.template_sets)
    assert not caplog.messages


def test_a_split_file_of_another_name_has_no_template_sets(root: Path, paint: Paint) -> None:
    table = lay_out("dtd", root, paint)
    assert not open_dataset(table.rename(table.with_name("split_zhou_Mine.json")), manager(), root).template_sets


def test_aircraft(aircraft: Path, opened: Open) -> None:
    data = opened("fgvc-aircraft")
    assert (data.name, data.classes) == ("fgvc-aircraft", VARIANTS), "the order is that of variants.txt"
    assert Counter(s.split for s in data.samples) == {split: 3 * n for split, n in SIZES.items()}
    found = {(s.item.name, s.label) for s in data.samples if s.split == "test"}
    assert found == {(f"4{y}{i:05}.jpg", y) for y in range(3) for i in range(2)}
    assert [s.item.name for s in data.draws[1, 1]["val"]] == ["3000001.jpg", "3100001.jpg", "3200001.jpg"]
    assert data.templates == ("a photo of a {}, a type of aircraft.",)
    assert "few_shot/ beside images_variant_{train,val,test}.txt" in data.notes[0]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("variants.txt", "a\nb\na\n", "variants.txt: lines 1 and 3 are both 'a'; a variant may be there once"),
        (
            "images_variant_val.txt",
            "0001 A340-300\n0002 A340-200\n",
            "val.txt: line 2: 'A340-200' is no variant of var",
        ),
        ("images_variant_val.txt", "0001\n", "val.txt: line 1: '' is no variant of variants.txt"),
        (
            "images_variant_test.txt",
            "0001 A340-300\n",
            "images/0001.jpg: no such file, but images_variant_{train,val,t",
        ),
    ],
)
def test_aircraft_that_does_not_fit(file: str, content: str, reason: str, aircraft: Path, opened: Open) -> None:
    write(aircraft / file, content)
    with pytest.raises(DataError) as caught:
        opened("fgvc-aircraft")
    assert reason in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("value", [None, ""])
def test_no_data_folder(name: str, value: str | None, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XM_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("XM_DATA", value)
    with pytest.raises(DataError) as caught:
        opened(name)
    record = RECORDS[name]
    assert str(caught.value) == (
        f"$XM_DATA/{record.folder}: no such folder, as XM_DATA is not set; get {name} as "
        f"https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md#{record.section} says, then type: "
        f"export XM_DATA=DIR, where DIR is the folder that holds {record.folder}/"
    )


@pytest.mark.parametrize("name", RECORDS)
def test_no_folder_of_the_dataset(name: str, root: Path, opened: Open) -> None:
    with pytest.raises(DataError) as caught:
        opened(name)
    record = RECORDS[name]
    assert str(caught.value).startswith(
        f"{root / record.folder}: no such folder; get {name} as {record.url} says, then"
    )


@pytest.mark.parametrize("name", RECORDS)
def test_no_listing_or_images(name: str, root: Path, opened: Open) -> None:
    record = RECORDS[name]
    folder = root / record.folder
    folder.mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        opened(name)
    assert str(caught.value).startswith(f"{folder / record.listing}: no such file; get {name} as {record.url} says")


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "stanford-cars"])
def test_no_images(name: str, root: Path, paint: Paint, opened: Open) -> None:
    lay_out(name, root, paint)
    images = root / LAYOUTS[name]
    images.rename(images.with_name("else"))
    with pytest.raises(DataError) as caught:
        opened(name)
    assert str(caught.value).startswith(f"{images}: no such folder; get {name} as {RECORDS[name].url} says")


def test_the_home_folder_is_expanded(root: Path, paint: Paint, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out("dtd", root, paint)
    monkeypatch.setenv("HOME", str(root.parent))
    monkeypatch.setenv("XM_DATA", "~/data")
    assert opened("dtd").samples[0].item.is_relative_to(root)


@pytest.mark.parametrize("name", LAYOUTS)
def test_template_sets(name: str, root: Path, paint: Paint, opened: Open) -> None:
    lay_out(name, root, paint)
    sets = opened(name).template_sets
    assert list(sets) == ["classname", "vanilla", "hand_crafted", "mined"]
    assert sets["classname"] == ("{}",) and sets["vanilla"] == ("a photo of a {}.",)
    assert sets["hand_crafted"] == (HAND_CRAFTED[name],)
    assert len(set(sets["mined"])) == 21 and all(t.count("{}") == 1 for t in sets["mined"])


def test_mined_templates_are_of_the_dataset(root: Path, paint: Paint, opened: Open) -> None:
    """The first of each published list that is of no other kind."""
    first = {
        "oxford-pets": "a photo of a {}, a type of pet.",
        "oxford-flowers": "a photo of a {}, a type of flower.",
        "food-101": "a photo of the {}.",
        "ucf101": "a demonstration of the person {}.",
        "eurosat": "a centered satellite photo of the {}.",
        "dtd": "a photo of the {} pattern.",
    }
    for name, template in first.items():
        lay_out(name, root, paint)
        assert opened(name).template_sets["mined"][0] == template


@pytest.mark.skipif("XM_DATA" not in os.environ, reason="XM_DATA is not set: the real data are not looked at")
def test_caltech_101_by_name_and_by_path(tmp_path: Path) -> None:
    table = Path(os.environ["XM_DATA"], "caltech-101", "split_zhou_Caltech101.json")
    named, by_path = (open_dataset(source, manager(), tmp_path) for source in ("caltech-101", table))
    assert (named.classes, named.samples, named.draws) == (by_path.classes, by_path.samples, by_path.draws)
    assert len(named.draws) == 15 and named.template_sets == by_path.template_sets
    tasks = [Draws(data).task(target="image", shots=1, seed=1) for data in (named, by_path)]
    assert tasks[0].digest == tasks[1].digest
