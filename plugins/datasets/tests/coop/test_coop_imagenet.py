"""ImageNet and its shifted versions, in CoOp's layout below XM_DATA."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import xm
from xm import DataError, Dataset, DatasetSpec
from xm.data import Draws
from xm.plugins import manager
from xm.testing import DatasetConformance

Paint = Callable[[str], Path]
Open = Callable[[str], Dataset]

NAMES = {
    "n01440764": "tench",
    "n01443537": "goldfish",
    "n01498041": "stingray",
    "n01531178": "American goldfinch",
    "n02012849": "crane bird",
    "n02963159": "cardigan",
    "n03126707": "construction crane",
    "n03773504": "missile",
    "n04008634": "missile",
    "n04355933": "sunglasses",
    "n04356056": "sunglasses",
    "n15075141": "toilet paper",
}
"""As in CLIP's list, twins and all."""
CLASSES = (*list(NAMES.values())[:8], "projectile", "sunglass", "sunglasses", "toilet paper")
IDS = tuple(NAMES)
SUBSET = ("n01443537", "n01498041", "n04356056")


def write_names(folder: Path, lines: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "classnames.txt"
    file.write_text(lines or "".join(f"{wnid} {name}\n" for wnid, name in NAMES.items()), encoding="utf-8")
    return file


@pytest.fixture
def imagenet(root: Path, paint: Paint) -> Path:
    """Six images a class in train, two in val; the folder."""
    write_names(root / "imagenet")
    for wnid in IDS:
        for i in range(6):
            paint(f"imagenet/images/train/{wnid}/{wnid}_{i}.JPEG")
        for i in range(2):
            paint(f"imagenet/images/val/{wnid}/ILSVRC2012_val_{i:08}.JPEG")
    return root / "imagenet"


@pytest.fixture
def shifted(root: Path, paint: Paint) -> Path:
    """All four, with files beside the class folders, but without class names; XM_DATA."""
    for label, wnid in enumerate(IDS):
        paint(f"imagenetv2/imagenetv2-matched-frequency-format-val/{label}/{wnid}.jpeg")
        paint(f"imagenet-sketch/images/{wnid}/sketch_0.JPEG")
    for wnid in SUBSET:
        paint(f"imagenet-adversarial/imagenet-a/{wnid}/0.0_hot_0.9.jpg")
        paint(f"imagenet-rendition/imagenet-r/{wnid}/art_0.jpg")
        paint(f"imagenet-rendition/imagenet-r/{wnid}/toy_1.jpg")
    for folder in ("imagenet-adversarial/imagenet-a", "imagenet-rendition/imagenet-r"):
        (root / folder / "README.txt").write_text("200 classes")
    return root


def row(part: str, label: int, number: int) -> list[Any]:
    return [f"{part}/{IDS[label]}/{IDS[label]}_{number}.JPEG", label, NAMES[IDS[label]]]


def rows(part: str, *numbers: int) -> list[list[Any]]:
    return [row(part, label, number) for label in range(len(IDS)) for number in numbers]


def official_val() -> list[list[Any]]:
    return [[f"val/{w}/ILSVRC2012_val_{i:08}.JPEG", y, NAMES[w]] for y, w in enumerate(IDS) for i in range(2)]


def write_split(folder: Path, val: list[list[Any]], test: list[list[Any]] | None = None) -> None:
    split = {"train": rows("train", 0, 1, 2, 3), "val": val, "test": test or official_val()}
    (folder / "split_ImageNet.json").write_text(json.dumps(split))


def write_draw(folder: Path, train: list[list[Any]], val: list[list[Any]], seed: int = 1) -> None:
    def whole(listed: list[list[Any]]) -> dict[str, Any]:
        return {"data": [{"impath": f"./data/imagenet/images/{p}", "label": y, "classname": c} for p, y, c in listed]}

    file = folder / "few_shot" / f"shot_1-seed_{seed}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"train": whole(train), "val": whole(val)}))


def numbers(data: Dataset, split: str) -> Counter[str]:
    """How often each number of a file is in a split."""
    return Counter(s.item.stem.rpartition("_")[2] for s in data.samples if s.split == split)


class TestConformance(DatasetConformance):
    @pytest.fixture
    def spec(self, imagenet: Path) -> DatasetSpec:
        write_split(imagenet, rows("train", 4, 5))
        write_draw(imagenet, rows("train", 2), rows("train", 5))
        return manager().datasets.find("imagenet")


def test_imagenet(imagenet: Path, opened: Open) -> None:
    data = opened("imagenet")
    assert (data.name, data.classes) == ("imagenet", CLASSES)
    assert Counter(s.split for s in data.samples) == {"train": 72, "test": 24}
    assert all(s.item.parent.name == IDS[s.label or 0] for s in data.samples)
    assert {s.item.parent.parent.name for s in data.samples if s.split == "test"} == {"val"}
    assert data.samples[0].item == imagenet / "images" / "train" / "n01440764" / "n01440764_0.JPEG"
    assert data.notes == ("Test is ImageNet's official val; val is taken from train by task, never of test.",)
    assert len(data.templates) == 7 and data.templates[0] == "itap of a {}."
    assert data.template_sets["mined"][0] == "a good photo of a {}."


def test_without_a_split_file_val_comes_from_train(imagenet: Path, opened: Open) -> None:
    samples = Draws(opened("imagenet")).task(target="image", shots=4, seed=1, val_shots=2).samples
    items = {split: {s.item for s in samples[split]["image"]} for split in ("train", "val", "test")}
    assert len(items["train"]) == 48 and len(items["val"]) == 24 and len(items["test"]) == 24
    assert not items["train"] & items["val"]
    assert {item.parent.parent.name for item in items["val"]} == {"train"}


def test_val_of_lin_et_al(imagenet: Path, opened: Open) -> None:
    write_split(imagenet, rows("train", 4, 5))
    data = opened("imagenet")
    assert numbers(data, "val") == {"4": 12, "5": 12} and set(numbers(data, "train")) == {"0", "1", "2", "3"}
    assert data.notes[0] == "Test is ImageNet's official val; val is what split_ImageNet.json says, never of test."


def test_published_draws(imagenet: Path, opened: Open) -> None:
    """Their val is kept out of train, with or without the split file."""
    write_draw(imagenet, rows("train", 2), rows("train", 5))
    write_draw(imagenet, rows("train", 0), rows("train", 3), seed=5)
    data = opened("imagenet")
    assert numbers(data, "val") == {"3": 12, "5": 12} and set(numbers(data, "train")) == {"0", "1", "2", "4"}
    task = Draws(data).task(target="image", shots=1, seed=5)
    for split, number in (("train", 0), ("val", 3)):
        found = [(s.item.relative_to(imagenet / "images").as_posix(), s.label) for s in task.samples[split]["image"]]
        assert found == [(path, label) for path, label, _ in rows("train", number)]
    assert data.notes == (
        "Test is ImageNet's official val; val is what the published draws have, never of test.",
        "Published draws (few_shot/ beside classnames.txt), used as they are: shots 1 with seeds 1, 5. "
        "Others are drawn here.",
    )
    write_split(imagenet, rows("train", 3, 5))
    assert opened("imagenet").draws == data.draws


def test_missing_files_of_val_and_draws(imagenet: Path, opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    write_split(imagenet, rows("train", 4, 5))
    write_draw(imagenet, rows("train", 2), rows("train", 4))
    write_draw(imagenet, rows("train", 1), rows("train", 5), seed=2)
    (imagenet / "images/train/n01440764/n01440764_5.JPEG").unlink()
    assert set(opened("imagenet").draws) == {(1, 1)}
    assert caplog.messages == [
        f"{imagenet / 'split_ImageNet.json'}: files that are not in {imagenet / 'images'} are left out: 1 of val; "
        "so are the published draws that need them: shot_1-seed_2.json"
    ]


def test_missing_files_of_test(imagenet: Path, opened: Open) -> None:
    write_split(imagenet, rows("train", 4, 5))
    (imagenet / "images/val/n01440764/ILSVRC2012_val_00000001.JPEG").unlink()
    with pytest.raises(
        DataError, match=r"val_00000001.JPEG: no such file, but split_ImageNet.json has it in test; 1 f"
    ):
        opened("imagenet")


def test_labels_that_do_not_fit(imagenet: Path, opened: Open) -> None:
    path, label, name = row("train", 3, 1)
    write_draw(imagenet, [[path, label + 1, name]], rows("train", 5))
    with pytest.raises(DataError, match=rf"shot_1-seed_1.json: {path} with label 4 is not in train of classnames.txt"):
        opened("imagenet")
    write_split(imagenet, [[path, label + 1, name]])
    with pytest.raises(DataError, match=rf"split_ImageNet.json: {path} has label 4; labels are the order of the Word"):
        opened("imagenet")


def test_files_are_not_looked_at(imagenet: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = os.stat

    def stat(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        looked.append(str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", stat)
    assert len(opened("imagenet").samples) == 96
    assert looked and not [path for path in looked if path.endswith(".JPEG")]


def test_classes_are_in_the_order_of_ids(imagenet: Path, opened: Open) -> None:
    write_names(imagenet, "\n\n".join(f"{wnid}  {NAMES[wnid]} " for wnid in reversed(IDS)))
    assert opened("imagenet").classes == CLASSES


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("tench\n", "line 13: 'tench' is no WordNet id with a name, as in n01440764 tench"),
        ("n01440765\n", "line 13: 'n01440765' is no WordNet id with a name"),
        ("n01440764 fish\n", "line 13: n01440764 is there twice"),
        (
            "n09999999 crane_bird\n",
            "n02012849 and n09999999 are both called 'crane bird'; give one of them another name",
        ),
    ],
)
def test_class_names_that_do_not_fit(more: str, reason: str, imagenet: Path, opened: Open) -> None:
    file = write_names(imagenet, "".join(f"{wnid} {name}\n" for wnid, name in NAMES.items()) + more)
    with pytest.raises(DataError) as caught:
        opened("imagenet")
    assert str(caught.value).startswith(f"{file}: {reason}")


def test_folders_that_do_not_fit(imagenet: Path, opened: Open, paint: Paint) -> None:
    val = imagenet / "images" / "val"
    (val / "n02012849").rename(imagenet / "aside")
    with pytest.raises(
        DataError, match=r"val/n02012849: no such folder, but .*classnames.txt has this class; 1 of 12 cl"
    ):
        opened("imagenet")
    (val / "n02012849").mkdir()
    with pytest.raises(DataError, match=r"val/n02012849: no image in it"):
        opened("imagenet")
    (val / "n02012849" / "list.csv").write_text("")
    with pytest.raises(DataError, match=r"val/n02012849: list.csv: no encoder reads such a file"):
        opened("imagenet")
    (val / "fish").mkdir()
    with pytest.raises(
        DataError, match=r"val/fish: .*classnames.txt has no such class .folders are called n01440764, n0"
    ):
        opened("imagenet")
    val.rename(imagenet / "sorted")
    paint("imagenet/images/val/ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(
        DataError, match=r"images/val: no folders in it; put each image into its class's folder .n01440764,"
    ):
        opened("imagenet")


@pytest.mark.parametrize("own", [False, True], ids=["names of imagenet", "own names"])
@pytest.mark.parametrize(
    ("name", "folder", "ids"),
    [
        ("imagenet-v2", "imagenetv2", IDS),
        ("imagenet-sketch", "imagenet-sketch", IDS),
        ("imagenet-a", "imagenet-adversarial", SUBSET),
        ("imagenet-r", "imagenet-rendition", SUBSET),
    ],
)
def test_shifted(name: str, folder: str, ids: tuple[str, ...], own: bool, shifted: Path, opened: Open) -> None:
    """Labels are ImageNet's, whichever classes there are; V2's folder 10 comes after 9."""
    write_names(shifted / (folder if own else "imagenet"))
    data = opened(name)
    assert (data.name, data.classes) == (name, CLASSES)
    assert {s.split for s in data.samples} == {"test"}
    expected = [IDS.index(wnid) for wnid in ids for _ in range(2 if name == "imagenet-r" else 1)]
    assert [s.label for s in data.samples] == expected
    if name == "imagenet-v2":
        assert [s.item.stem for s in data.samples] == list(IDS)
    assert len(data.templates) == 7 and len(data.template_sets["mined"]) == 21
    assert bool(data.notes) == (len(ids) < len(IDS))
    for note in data.notes:
        assert note.startswith(f"{name} has images of 3 of the 12 classes; published")


def test_a_shifted_version_can_be_scored_but_not_learned(shifted: Path, opened: Open) -> None:
    write_names(shifted / "imagenet")
    draws = Draws(opened("imagenet-a"))
    task = draws.task(target="image", shots=0, seed=1, val_shots=0, aux=["text"], names=["text"])
    assert len(task.samples["test"]["image"]) == 3 and len(task.samples["train"]["text"]) == 12 * 7
    with pytest.raises(DataError, match=r"'goldfish' has 1 image items in test .* but none in train"):
        draws.task(target="image", shots=1, seed=1)


def test_shifted_folders_that_do_not_fit(shifted: Path, opened: Open) -> None:
    write_names(shifted / "imagenet")
    (shifted / "imagenetv2/imagenetv2-matched-frequency-format-val/12").mkdir()
    with pytest.raises(DataError, match=r"format-val/12: .* has no such class .folders are called 0, 1, 2, …"):
        opened("imagenet-v2")
    (shifted / "imagenet-sketch/images/n01440764").rename(shifted / "aside")
    with pytest.raises(DataError, match=r"images/n01440764: no such folder, .* 1 of 12 classes have no folder"):
        opened("imagenet-sketch")
    (shifted / "imagenet-adversarial/imagenet-a").rename(shifted / "other")
    with pytest.raises(DataError, match=r"imagenet-a: no such folder; get imagenet-a as https://"):
        opened("imagenet-a")


@pytest.mark.whole
def test_a_run_is_scored_on_its_shifted_versions(imagenet: Path, shifted: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"encoders": {"image": "pixels"}, "device": "cpu", "baselines": False}
    report = xm.train("image", data="imagenet", shots=[2], seeds=[1], out=tmp_path / "run", **given)
    run = xm.load(report.run, device="cpu", cache=tmp_path / "cache")
    scored = {name: run.evaluate(f"imagenet-{name}") for name in ("v2", "sketch", "a", "r")}
    assert {name: result.n for name, result in scored.items()} == {"v2": 12, "sketch": 12, "a": 3, "r": 6}
    assert scored["r"].split == "imagenet-r"
