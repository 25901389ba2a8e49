"""The reader and the encoder `features`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import xm
from xm import Dataset, EncoderSpec, PluginError
from xm.data import open_dataset
from xm.plugins import manager
from xm.testing import DatasetConformance, EncoderConformance

Arrays: TypeAlias = dict[str, Any]
Save: TypeAlias = Callable[..., Path]


def arrays(classes: int = 3, dim: int = 8) -> Arrays:
    """Image and text in one space: a direction a class, and noise."""
    rng = np.random.default_rng(0)
    found: Arrays = {"classes": np.array([f"thing {i}" for i in range(classes)])}
    for name, each, noise in (
        ("train_image", 6, 0.4),
        ("val_image", 4, 0.4),
        ("test_image", 20, 0.4),
        ("train_text", 2, 0.1),
    ):
        y = np.arange(classes).repeat(each)
        found[name] = (np.eye(dim)[y] + noise * rng.standard_normal((len(y), dim))).astype(np.float32)
        found[f"{name}_y"] = y
    return found


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def saved(name: str = "bank.npz", **changes: Any) -> Path:
        path = tmp_path / name
        given = {key: value for key, value in {**arrays(), **changes}.items() if value is not None}
        if path.suffix == ".npz":
            np.savez(path, **given)
        else:
            metadata = {"classes": json.dumps(given.pop("classes").tolist())} if "classes" in given else None
            save_file({key: torch.as_tensor(value) for key, value in given.items()}, path, metadata)
        return path

    return saved


def opened(path: Path) -> Dataset:
    return open_dataset(path, manager(), path.parent / "cache")


class TestDataset(DatasetConformance):
    @pytest.fixture
    def spec(self) -> xm.DatasetSpec:
        return manager().datasets.find("features")

    @pytest.fixture
    def source(self, save: Save) -> str:
        return str(save())


class TestEncoder(EncoderConformance):
    argument = "image/8"

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("features")

    @pytest.fixture
    def items(self) -> Sequence[Any]:
        return list(arrays()["train_image"][:6])

    @pytest.fixture
    def bad_item(self) -> Any:
        return np.zeros(7, dtype=np.float32)


@pytest.mark.parametrize("name", ("bank.npz", "bank.safetensors"))
def test_both_formats_hold_the_same(save: Save, name: str) -> None:
    dataset = opened(save(name))
    assert dataset.classes == ("thing 0", "thing 1", "thing 2")
    assert dataset.encoders == {"image": "features:image/8", "text": "features:text/8"}
    counts = {split: sum(s.split == split for s in dataset.samples) for split in ("train", "val", "test")}
    assert counts == {"train": 18, "val": 12, "test": 60}
    assert [s.label for s in dataset.names] == [0, 0, 1, 1, 2, 2]
    first = next(s.item for s in dataset.samples if s.split == "train")
    np.testing.assert_array_equal(first, arrays()["train_image"][0])


def test_half_precision_is_read(save: Save) -> None:
    given = {n: torch.as_tensor(v).bfloat16() for n, v in arrays().items() if n[-2:] != "_y" and n != "classes"}
    dataset = opened(save("bank.safetensors", **given))
    assert dataset.samples[0].item.dtype == np.float32


def test_a_whole_run_with_names_and_evaluation(save: Save, tmp_path: Path) -> None:
    """By hand: the names alone decide well here, so zero-shot is far above chance; shots and val are drawn."""
    path = save(classes=None)
    given: Any = {"seeds": (1, 2), "cache": tmp_path / "cache", "out": tmp_path / "run"}
    report = xm.train("image", aux=("text",), data=str(path), shots=(1, 2), strategy="linear", **given)
    zero = [r for r in report.results if r.shots == 0]
    assert zero and all(r.value > 0.9 for r in zero)
    learned = {r.aux: r for r in report.results if r.shots == 2 and r.strategy == "linear"}
    assert learned[("text",)].init == "text" and learned[()].init == "random"
    assert learned[()].labels == {"train": 6, "val": 6}
    assert not list((tmp_path / "cache").rglob("*.safetensors")), "features were copied to the cache"
    again = xm.load(tmp_path / "run", cache=tmp_path / "cache").evaluate()
    assert again.value == next(r.value for r in report.results if r.model == again.model)
    assert xm.load(tmp_path / "run").predict([arrays()["test_image"][0]], modality="image")[0].label == "class 0"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train_image_y": None}, "train_image has no labels; add train_image_y"),
        (
            {"train_image_y": np.zeros(3, dtype=int)},
            "train_image_y is int64 of shape (3,); it should be integers (18,)",
        ),
        ({"train_image_y": np.full(18, -2)}, "train_image_y holds -2; labels count from 0, -1 is none"),
        ({"train_image": np.zeros((18, 8), dtype=bool)}, "train_image is bool of shape (18, 8); it should be numbers"),
        ({"train_image": np.full((18, 8), np.nan)}, "train_image has 18 rows that are not finite (the first: 0)"),
        ({"train_image": np.zeros((18, 5))}, "train_image has 5 columns, another array of image 8"),
        (
            {"holdout_image": np.zeros((2, 8))},
            "array 'holdout_image' is none of the form; expected arrays <split>_<modality>",
        ),
        ({"classes": np.array(["a", "b"])}, "label 2, but classes has 2 names"),
        ({"classes": np.array([1, 2, 3])}, "classes is int64; it should be an array of strings"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(save: Save, changes: Arrays, says: str) -> None:
    path = save(**changes)
    with pytest.raises(xm.DataError) as caught:
        opened(path)
    said = str(caught.value)
    assert str(path) in said and says in said and "\n" not in said


@pytest.mark.parametrize("name", ("broken.npz", "broken.safetensors"))
def test_a_damaged_file_is_told_in_a_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not features")
    with pytest.raises(xm.DataError, match=f"{name}: is damaged"):
        opened(tmp_path / name)


def test_an_object_array_is_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "trap.npz", train_image=np.array([{}], dtype=object))
    with pytest.raises(xm.DataError, match=r"trap\.npz: train_image holds Python objects"):
        opened(tmp_path / "trap.npz")


def test_an_argument_that_does_not_fit(tmp_path: Path) -> None:
    for argument in ("", "image", "image/", "/8", "image/0"):
        with pytest.raises(xm.UsageError, match="features:image/512"):
            manager().encoders.find("features").load()(argument)


def test_a_run_from_a_bank_predicts_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the encoder that made the bank, as a run from the files themselves would."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        for i in range(8):
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            grey = np.clip(rng.normal(60, 20, (8, 8)) + 120 * np.eye(8)[:, :: 1 - 2 * label], 0, 255)
            Image.fromarray(grey.astype(np.uint8)).save(tmp_path / "photos" / name / f"{i}.png")
    bank, settings = tmp_path / "bank.safetensors", {"shots": (2,), "seeds": (1,), "device": "cpu"}
    encoders = {"image": "pixels:8"}
    xm.embed(str(tmp_path / "photos"), bank, encoders=encoders, device="cpu")
    from_bank = xm.train("image", data=str(bank), out=tmp_path / "a", **settings)
    from_files = xm.train("image", data=str(tmp_path / "photos"), encoders=encoders, out=tmp_path / "b", **settings)
    photos = sorted(tmp_path.glob("photos/*/*.png"))
    one, other = (xm.load(report.run, device="cpu").predict(photos) for report in (from_bank, from_files))
    assert {p.error for p in one} == {None}
    assert from_bank.results[0].n == from_files.results[0].n
    assert [p.label for p in one] == [p.item.parent.name for p in one] == [p.label for p in other]
    [way] = xm.load(from_bank.run, device="cpu").index["ways"].values()
    other_print = (
        manager().encoders.find("features").load()(way["encoder"].partition(":")[2].replace("print=", "print=0"))
    )
    with pytest.raises(PluginError, match="made by another pixels:8: its weights or preprocessing differ"):
        other_print.trunk([photos[0]])
    gone = manager().encoders.find("features").load()("image/64?by=nowhere&print=1&space=s")
    with pytest.raises(PluginError, match="made by encoder nowhere, which is not here: unknown encoder 'nowhere'"):
        gone.trunk([photos[0]])
