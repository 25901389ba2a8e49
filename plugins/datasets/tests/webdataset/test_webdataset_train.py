"""Shards through the program: the same results as the same files in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xm import embed, load, train
from xm.data import Member, open_dataset
from xm.encoders.bank import Bank
from xm.plugins import manager

TOYS = Path(__file__).with_name("webdataset_toys.py")


@pytest.fixture
def folder(shards: str, tmp_path: Path) -> str:
    """The files of the shards, unpacked below <split>/<class>."""
    root = tmp_path / "files"
    dataset = open_dataset(shards, manager(), tmp_path / "cache")
    for sample in dataset.samples:
        path = root / str(sample.split) / dataset.classes[sample.label or 0] / sample.item.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.item.read_bytes())
    return str(root)


@pytest.fixture
def xm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run `xm` with the toys; the result has exit_code, stdout and stderr."""
    app = pytest.importorskip("xm_cli.main").app
    monkeypatch.setenv("XM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> Any:
        manager.cache_clear()
        return CliRunner().invoke(app, ["--plugin", str(TOYS), *map(str, args)])

    return run


def needs(*strategies: str) -> None:
    for name in strategies:
        if name not in manager().strategies:
            pytest.skip(f"the strategy {name} is not installed")


def test_the_same_results_as_a_folder(shards: str, folder: str, tmp_path: Path, toys: Any) -> None:
    needs("linear", "zero-shot")
    settings: dict[str, Any] = {"aux": ("text",), "shots": (1, 2), "seeds": (1, 2), "listener": lambda _: None}
    settings |= {"device": "cpu", "cache": tmp_path / "cache"}
    ours = train("image", data=shards, out=tmp_path / "run of shards", **settings)
    assert toys.ENCODED["image"] > 0
    toys.ENCODED.clear()
    theirs = train("image", data=folder, out=tmp_path / "run of a folder", **settings)
    assert [r.value for r in ours.results] == [r.value for r in theirs.results]
    assert [r.strategy for r in ours.results] == [r.strategy for r in theirs.results]
    assert toys.ENCODED["image"] == 0, "the cache goes by content, so these items are known"
    run, items = load(tmp_path / "run of shards"), [s.item for s in open_dataset(shards, manager(), tmp_path).samples]
    predicted = run.predict(items[-3:])
    assert [p.label for p in predicted] == ["blue", "green", "red"]
    assert isinstance(predicted[0].item, Member)
    assert run.evaluate(data=folder).value == run.evaluate(data=shards).value


def test_captions_are_as_good_as_files_of_text(tmp_path: Path, toys: Any) -> None:
    needs("linear")
    found = []
    for kind in ("files", "captions"):
        for split in ("train", "test"):
            files: dict[str, Any] = {}
            for number in range(12):
                colour = sorted(toys.COLOURS)[number % 3]
                words, table = f"{colour} thing", {"label": colour}
                key = f"{split}{number}"
                files |= {f"{key}.png": toys.png(colour, number), f"{key}.json": table}
                files |= {f"{key}.txt": words} if kind == "files" else {f"{key}.json": {**table, "caption": words}}
            toys.write_tar(tmp_path / kind / f"{split}.tar", files)
        settings: dict[str, Any] = {"shots": (1, 2), "seeds": (1,), "device": "cpu", "cache": tmp_path / "cache"}
        settings |= {"aux": ("text",), "listener": lambda _: None, "out": tmp_path / f"run of {kind}"}
        found.append(train("image", data=str(tmp_path / kind / "{train,test}.tar"), **settings))
    assert [r.value for r in found[0].results] == [r.value for r in found[1].results]
    assert toys.ENCODED["text"] == 3 + 3, "the class names and the words, known by their content"


def test_views_of_members(shards: str, folder: str, tmp_path: Path) -> None:
    needs("linear")
    settings: dict[str, Any] = {"shots": (1,), "seeds": (1,), "views": ("flip", "crop1"), "device": "cpu"}
    settings |= {"cache": tmp_path / "cache", "listener": lambda _: None}
    ours = train("image", data=shards, out=tmp_path / "run of shards", **settings)
    theirs = train("image", data=folder, out=tmp_path / "run of a folder", **settings)
    assert [r.value for r in ours.results] == [r.value for r in theirs.results]


def test_the_same_bank_as_a_folder(shards: str, folder: str, tmp_path: Path) -> None:
    banks = []
    for name, source in (("ours", shards), ("theirs", folder)):
        out = tmp_path / f"{name}.safetensors"
        embed(source, out, cache=tmp_path / "cache", listener=lambda _: None)
        banks.append(Bank(out))
    ours, theirs = banks
    assert ours.classes == theirs.classes
    for split in ("train", "val", "test"):
        rows = [sorted(bank.arrays[f"{split}_image"].tolist()) for bank in banks]
        assert rows[0] == rows[1]


def test_the_program(shards: str, xm: Any, toys: Any, tmp_path: Path) -> None:
    needs("linear")
    done = xm("data", "show", shards, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["items"] == 48
    broken = {"0.png": toys.png("red", 0)[:60], "0.json": {"class": "red"}, "1.wav": b"RIFF", "1.txt": b"\xff"}
    toys.write_tar(tmp_path / "data" / "train-2.tar", {**broken, "2.png": b"", "2.cls": 0})
    data = shards.replace("0..1", "0..2")
    few = ("--shots", "2,16", "--seeds", "1", "--data", data, "--modality", "image", "--no-baselines", "--json")
    done = xm("train", *few, "--out", "run")
    assert done.exit_code == 0, done.stderr
    assert all(row["value"] == 1.0 for row in json.loads(done.stdout)["results"])
    assert f"left out: {tmp_path}/data/train-2.tar/0.png: is " in done.stderr
    assert f"left out: {tmp_path}/data/train-2.tar/2.png: is " in done.stderr
    done = xm("embed", data, "--out", "bank.safetensors")
    assert done.exit_code == 0, done.stderr
    assert "train-2.tar/1.wav: is not a sound" in done.stderr
    assert "train-2.tar/1.txt: is not UTF-8 at byte 0" in done.stderr
    bank = Bank(tmp_path / "bank.safetensors")
    assert len(bank.arrays["train_image"]) == 24
    assert xm("train", "--features", "bank.safetensors", "--modality", "image", "--shots", "1").exit_code == 0
    done = xm("eval", "run", "--data", str(tmp_path / "data" / "test-*.tar"))
    assert done.exit_code == 0, done.stderr
    done = xm("train", "--data", "data/train-{0..4}.tar", "--modality", "image")
    assert done.exit_code == 3
    assert done.stderr.splitlines()[-1].startswith("error: data/train-3.tar: no such file; of the 5 shards of ")


def test_sounds_and_texts(opened: Any, toys: Any, tmp_path: Path) -> None:
    samples = opened({"1.wav": toys.wav(1), "1.txt": "\ufeff red\r\nrose \n", "1.cls": 0}).samples
    for sample in samples:
        path = tmp_path / sample.item.name
        path.write_bytes(sample.item.read_bytes())
        encoder = manager().encoders.find({"audio": "wds-loudness", "text": "wds-letters"}[sample.modality]).load()()
        ours, theirs = (encoder.trunk([item])["features"] for item in (sample.item, path))
        assert ours.tolist() == theirs.tolist()
