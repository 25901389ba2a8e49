"""Made-up data in the official layouts, below a folder that XM_DATA names. A file says its class and a number."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from xm import Dataset
from xm.data import open_dataset
from xm.plugins import PluginManager, manager
from xm.testing import installed
from xm_datasets.imagenet_esc.classes import CALTECH_ESC, IMAGENET_ESC_27

CLIPS = 4
"""A class and fold; the real sets have 8."""
SIZES = {"train": 6, "val": 2}
"""Of ImageNet's folders."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("XM_DATA", str(folder))
    return folder


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[str], Dataset]:
    """Open a dataset by its name, as the program does."""
    return lambda name: open_dataset(name, manager(), tmp_path / "cache")


@pytest.fixture
def imagenet_esc(root: Path) -> Path:
    """27 classes of ImageNet and one of no use, two published draws, and ESC-50 with a category of no use."""
    numbers = itertools.count()
    table = [["filename", "fold", "target", "category", "esc10", "src_file", "take"]]
    for pair in (*IMAGENET_ESC_27, ("tench", "n01440764", "rain")):
        name, wnid, category = pair
        for part, size in SIZES.items():
            for n in range(size):
                write(root / f"imagenet/images/{part}/{wnid}/{wnid}_{n}.JPEG", f"{name} {next(numbers)}")
        for fold in range(1, 6):
            for n in range(CLIPS):
                file = f"{fold}-{len(table)}-A-{n}.wav"
                write(root / "esc-50/ESC-50-master/audio" / file, f"{name} {next(numbers)}")
                table.append([file, str(fold), "0", category, "False", str(len(table)), "A"])
    meta = root / "esc-50/ESC-50-master/meta/esc50.csv"
    meta.parent.mkdir()
    with meta.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(table)
    for seed in (1, 2):
        write(root / f"imagenet/few_shot/shot_1-seed_{seed}.json", json.dumps(published(seed)))
    return root


def published(seed: int) -> dict[str, Any]:
    """One of train and one of val a class, as Lin et al. write them."""
    return {
        split: {
            "data": [
                {"impath": f"./data/imagenet/images/train/{p.images}/{p.images}_{n}.JPEG", "label": 0, "classname": ""}
                for p in (*IMAGENET_ESC_27, IMAGENET_ESC_27[0]._replace(images="n01440764"))
            ],
            "indices": [],
        }
        for split, n in (("train", seed), ("val", 5))
    }


@pytest.fixture
def caltech_esc(root: Path) -> Path:
    """Six classes and one of no use, in CoOp's form; ESC-10 with its README."""
    numbers = itertools.count()
    rows: dict[str, list[Any]] = {"train": [], "val": [], "test": []}
    for label, pair in enumerate((*CALTECH_ESC, CALTECH_ESC[0]._replace(images="ant", sounds="Rain"))):
        for split, listed in rows.items():
            for n in range(5):
                path = f"{pair.images}/{split}_{n}.jpg"
                write(root / "caltech-101/101_ObjectCategories" / path, f"{pair.name} {next(numbers)}")
                listed.append([path, label, pair.name])
        for fold in range(1, 6):
            for n in range(CLIPS):
                clip = f"{fold}-{label}{n}-A.ogg"
                write(root / f"esc-10/{label + 1:03} - {pair.sounds}" / clip, f"{pair.name} {next(numbers)}")
    write(root / "esc-10/README.md", "clips")
    write(root / "caltech-101/split_zhou_Caltech101.json", json.dumps(rows))
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def plugins() -> Iterator[PluginManager]:
    """This plugin, encoders that read the made-up files, and three strategies."""
    spec = importlib.util.spec_from_file_location("xm_esc_toy", Path(__file__).with_name("xm_esc_toy.py"))
    assert spec is not None and spec.loader is not None
    toy = sys.modules["xm_esc_toy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toy)
    found = PluginManager(installed=False)
    found.register(toy, "toy")
    found.register(installed("imagenet-esc"), "imagenet-esc")
    for name in ("linear", "nearest-centroid", "zero-shot"):
        found.register(installed(name), name)
    yield found
    del sys.modules["xm_esc_toy"]
