"""`xm.embed`, and banks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import xm
from xm.encoders.bank import Bank
from xm.encoders.embedding import Embedded
from xm.encoders.reference import make_encoder
from xm.foundation.errors import DataError, ItemError, RunError, UsageError
from xm.foundation.events import Event
from xm.foundation.files import read_tensors
from xm.plugins.plugin_manager import PluginManager

CPU = torch.device("cpu")
Embed = Callable[..., Embedded]


@pytest.fixture
def embed(plugins: PluginManager, table: Path, events: list[Event], tmp_path: Path) -> Embed:
    """`xm.embed` of the toys' table into a bank."""

    def call(data: str | None = None, out: str = "bank.safetensors", **settings: Any) -> Embedded:
        given = {"device": "cpu", "cache": tmp_path / "cache", **settings}
        return xm.embed(data or str(table), tmp_path / out, listener=events.append, plugins=plugins, **given)

    return call


def test_a_bank_holds_everything(embed: Embed, plugins: PluginManager, table: Path, tmp_path: Path) -> None:
    done = embed()
    assert done.rows == {
        "pool_image": 30,
        "test_image": 40,
        "train_image": 15,
        "val_image": 15,
        "pool_audio": 30,
        "train_audio": 20,
    }
    assert (done.embedded, done.failed) == (150, {})
    bank = Bank(tmp_path / "bank.safetensors")
    assert len(bank) == 150 and bank.classes == ("cat", "cow", "dog", "hen", "owl")
    assert bank.about["encoders"]["train_audio"]["space"] == "toy-sound"
    rows = bank.rows["train_image"]
    encoder = make_encoder("toy-image", plugins, CPU)
    expected = encoder.trunk([Path(row["item"]) for row in rows])["features"]
    stream = bank.stream("train", "image")
    assert torch.equal(stream.x["features"], expected)
    assert [bank.classes[y] for y in stream.labels.tolist()] == [Path(row["item"]).parent.name for row in rows]
    assert {row["pair"] for row in bank.rows["pool_audio"]} == {row["pair"] for row in bank.rows["pool_image"]}
    assert not list(tmp_path.glob(".bank*")), "what was unfinished stays"
    with pytest.raises(UsageError, match=r"unknown array of the bank 'test_audio'"):
        bank.stream("test", "audio")


def test_a_bank_knows_what_rows_belong_together(embed: Embed, images: Path, tmp_path: Path) -> None:
    lines = ["path,label,group,source"]
    lines += [
        f"{path},{path.parent.name},g{path.stem},{'' if path.stem == '0' else 'web'}" for path in images.rglob("*.toy")
    ]
    (tmp_path / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    embed(str(tmp_path / "table.csv"), modalities=("image",))
    [rows] = Bank(tmp_path / "bank.safetensors").rows.values()
    assert {row["group"] for row in rows} == {f"g{n}" for n in range(12)}
    assert sorted(row.get("source", "") for row in rows) == [""] * 5 + ["web"] * 55


def test_one_modality_and_a_dataset_without_splits(embed: Embed, images: Path, tmp_path: Path) -> None:
    done = embed(str(images), modalities=("image",))
    assert done.rows == {"any_image": 60}
    assert len(Bank(tmp_path / "bank.safetensors").stream(None, "image")) == 60


def test_class_names_where_the_data_have_no_texts(embed: Embed, images: Path, tmp_path: Path) -> None:
    done = embed(str(images), modalities=("image", "text"))
    assert done.rows == {"any_image": 60, "train_text": 5}
    bank = Bank(tmp_path / "bank.safetensors")
    assert [row["item"] for row in bank.rows["train_text"]] == list(bank.classes)


@pytest.mark.parametrize("kill", [0, 1, 9, 17])
def test_a_killed_call_goes_on_where_it_was(
    embed: Embed, plugins: PluginManager, table: Path, toy: Any, tmp_path: Path, kill: int
) -> None:
    """Nothing is done twice, nothing is missing, and the bank is the same, byte by byte."""
    embed(out="whole.safetensors")
    toy.ENCODED.clear()
    heard = 0

    def killed(event: Event) -> None:
        nonlocal heard
        if event.kind == "embed":
            heard += 1
            if heard > kill:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        xm.embed(str(table), tmp_path / "bank.safetensors", listener=killed, plugins=plugins, device="cpu")
    assert not (tmp_path / "bank.safetensors").exists()
    for path in tmp_path.glob(".bank*/*/vectors.f32"):  # cut within a row, as by a power failure
        path.write_bytes(path.read_bytes() + b"\x00\x01\x02")
    embed()
    assert toy.ENCODED.total() == 150, "an item was embedded twice"
    whole, again = ((tmp_path / f"{name}.safetensors").read_bytes() for name in ("whole", "bank"))
    assert whole == again


def test_other_data_start_anew(embed: Embed, table: Path, plugins: PluginManager, tmp_path: Path, toy: Any) -> None:
    def killed(event: Event) -> None:
        if event.kind == "embed":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        xm.embed(str(table), tmp_path / "bank.safetensors", listener=killed, plugins=plugins, device="cpu")
    changed = table.parent / "images" / "cat" / "0.toy"
    changed.write_text("cat 123456")
    os.utime(changed, (time.time() + 5, time.time() + 5))
    embed()
    bank = Bank(tmp_path / "bank.safetensors")
    row = [Path(row["item"]).name for row in bank.rows["train_image"]].index("0.toy")
    expected = make_encoder("toy-image", plugins, CPU).trunk([changed])["features"][0]
    assert torch.equal(bank.stream("train", "image").x["features"][row], expected)


def test_what_can_not_be_read_is_listed_or_ends_it(
    embed: Embed, table: Path, tmp_path: Path, events: list[Event]
) -> None:
    spoilt = [table.parent / "images" / "dog" / f"{i}.toy" for i in (1, 5)]
    for path in spoilt:
        path.write_text("broken")
    done = embed()
    assert done.failed == {str(path): "is broken" for path in spoilt}
    assert done.rows["train_image"] == 14 and done.rows["val_image"] == 14
    assert {e.data["message"] for e in events if e.kind == "warning"} == {f"left out: {p}: is broken" for p in spoilt}
    assert str(spoilt[0]) not in [row["item"] for row in Bank(tmp_path / "bank.safetensors").rows["train_image"]]
    with pytest.raises(ItemError, match="is broken"):
        embed(out="other.safetensors", on_error="fail")
    assert not (tmp_path / "other.safetensors").exists()


def test_where_nothing_can_be_read(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "bad" / "cat").mkdir(parents=True)
    (tmp_path / "bad" / "cat" / "0.toy").write_text("broken")
    with pytest.raises(DataError, match=r"no item can be read: .*0\.toy: is broken"):
        embed(str(tmp_path / "bad"), modalities=("image",))


def test_mistakes(embed: Embed, table: Path, tmp_path: Path) -> None:
    for settings, said in (
        ({"out": "bank.csv"}, r"its suffix should be one of \.safetensors, \.npz, \.parquet"),
        ({"modalities": ("smell",)}, "holds no smell"),
        ({"on_error": "ask"}, "on_error"),
        ({"encoders": {"image": "toy-sound"}}, "is for audio, not image"),
    ):
        with pytest.raises(UsageError, match=said):
            embed(**settings)
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        embed(out="folder.npz")


def test_exports(embed: Embed, tmp_path: Path) -> None:
    embed()
    embed(out="bank.npz")
    bank = Bank(tmp_path / "bank.safetensors")
    with np.load(tmp_path / "bank.npz") as arrays:
        assert set(arrays) == {"classes", *(f"{name}{end}" for name in bank.names for end in ("", "_y", "_items"))}
        for name in bank.names:
            assert arrays[f"{name}_items"].tolist() == [row["item"] for row in bank.rows[name]]
        np.testing.assert_array_equal(arrays["train_image"], bank.arrays["train_image"].numpy())
        assert tuple(arrays["classes"]) == bank.classes
    pq = pytest.importorskip("pyarrow.parquet")
    embed(out="bank.parquet")
    table = pq.read_table(tmp_path / "bank.parquet")
    assert table.num_rows == 150
    rows = [row for row in table.to_pylist() if row["array"] == "train_image"]
    assert [row["item"] for row in rows] == [row["item"] for row in bank.rows["train_image"]]
    np.testing.assert_array_equal([row["features"] for row in rows], bank.arrays["train_image"].numpy())
    assert [row["class"] for row in rows] == [bank.classes[y] for y in bank.arrays["train_image_y"].tolist()]


def test_a_batch_copies_no_more_than_the_batch(tmp_path: Path) -> None:
    """A bank of 256 MB is open, and sampled from, within little memory, and its rows lie in the file."""
    path = tmp_path / "big.safetensors"
    save_file(
        {"train_image": torch.zeros(131_072, 512), "train_image_y": torch.zeros(131_072, dtype=torch.int64)}, path
    )
    code = f"""
import resource
import torch
from pathlib import Path
from xm.encoders.bank import Bank
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
stream = Bank(Path({str(path)!r})).stream("train", "image")
batch = stream[torch.arange(0, 131_072, 4096)]
print(len(stream), len(batch), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    size, batch, kilobytes = map(int, done.stdout.split())
    assert (size, batch) == (131_072, 32)
    assert kilobytes < 60_000, "the whole file was read"


def test_damaged_banks(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such file"):
        Bank(tmp_path / "none.safetensors")
    (tmp_path / "half.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(RunError, match="damaged, or no bank"):
        Bank(tmp_path / "half.safetensors")


def test_it_is_a_file_of_the_format(embed: Embed, tmp_path: Path) -> None:
    embed()
    tensors = read_tensors(tmp_path / "bank.safetensors")
    assert tensors["train_image"].dtype == torch.float32 and tensors["train_image_y"].dtype == torch.int64
    assert json.loads(bytes(tensors["items"].numpy()).decode().splitlines()[0])["item"]


def test_precision_by_measurement(embed: Embed, tmp_path: Path, events: list[Event]) -> None:
    embed(precision="auto", modalities=("image",))
    told = [str(e.data["message"]) for e in events if e.kind == "note" and "precision" in str(e.data["message"])]
    assert len(told) == 1, "it is measured once an encoder"
    assert list(Bank(tmp_path / "bank.safetensors").about["precision"].values()) == [
        told[0].partition("precision ")[2].partition(" (")[0]
    ]
