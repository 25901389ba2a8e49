"""The feature store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xm.encoders import store as module
from xm.encoders.store import KEY, FeatureStore
from xm.foundation.errors import ItemError
from xm.foundation.events import Event
from xm.foundation.files import read_tensors, write_tensors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "features"


@pytest.fixture
def files(toy: Any, tmp_path: Path) -> list[Path]:
    return sorted(toy.write_folder(tmp_path / "data", each=4).rglob("*.toy"))


@pytest.fixture
def encoder(toy: Any) -> Any:
    toy.ENCODED.clear()
    return toy.ToyImage()


def shards(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def everything(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_was_encoded_is_kept(folder: Path, files: list[Path], encoder: Any, toy: Any) -> None:
    first = FeatureStore(folder).features(encoder, files)
    assert toy.ENCODED["image"] == 20 and first.kept.tolist() == list(range(20))
    torch.testing.assert_close(first.x["features"], encoder.trunk(files)["features"])
    toy.ENCODED.clear()
    again = FeatureStore(folder).features(encoder, files[::-1])
    assert not toy.ENCODED
    assert torch.equal(again.x["features"], first.x["features"].flip(0))


def test_content_counts_and_names_do_not(folder: Path, files: list[Path], encoder: Any, toy: Any) -> None:
    before = FeatureStore(folder).features(encoder, files).x["features"]
    moved = files[3].rename(files[3].with_name("other.toy"))
    files[5].write_text("owl 77")
    toy.ENCODED.clear()
    after = FeatureStore(folder).features(encoder, [moved, files[5], files[6]]).x["features"]
    assert toy.ENCODED["image"] == 1
    assert torch.equal(after[0], before[3]) and torch.equal(after[2], before[6])
    assert not torch.equal(after[1], before[5])


def test_equal_items_are_encoded_once(folder: Path, files: list[Path], encoder: Any, toy: Any) -> None:
    (files[0].parent / "copy.toy").write_bytes(files[0].read_bytes())
    x = FeatureStore(folder).features(encoder, [files[0], files[0].parent / "copy.toy", files[0]]).x["features"]
    assert toy.ENCODED["image"] == 1 and torch.equal(x[0], x[1]) and torch.equal(x[0], x[2])


def test_another_fingerprint_is_another_folder(
    folder: Path, files: list[Path], encoder: Any, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(folder)
    store.features(encoder, files)
    monkeypatch.setitem(toy.WEIGHTS, "version", 2)
    store.features(encoder, files)
    assert toy.ENCODED["image"] == 40 and len({p.parent for p in shards(folder)}) == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "no key", "few rows"])
def test_a_damaged_shard_is_named_and_made_again(
    folder: Path, files: list[Path], encoder: Any, toy: Any, damage: str
) -> None:
    whole = FeatureStore(folder).features(encoder, files).x["features"]
    [shard] = shards(folder)
    tensors = read_tensors(shard)
    if damage == "no key":
        write_tensors(shard, {"features": tensors["features"]})
    elif damage == "few rows":
        write_tensors(shard, {KEY: tensors[KEY], "features": tensors["features"][:3]})
    else:
        shard.write_bytes({"cut": shard.read_bytes()[:-100], "empty": b"", "noise": b"#" * 500}[damage])
    heard: list[Event] = []
    toy.ENCODED.clear()
    again = FeatureStore(folder, listener=heard.append).features(encoder, files)
    assert torch.equal(again.x["features"], whole) and toy.ENCODED["image"] == 20
    [warning] = [event.data["message"] for event in heard if event.kind == "warning"]
    assert str(shard) in warning and "damaged and will be made again" in warning
    assert not shard.exists() and len(shards(folder)) == 1
    toy.ENCODED.clear()
    FeatureStore(folder).features(encoder, files)
    assert not toy.ENCODED, "it was made again"


def test_other_shards_survive_a_damaged_one(folder: Path, files: list[Path], encoder: Any, toy: Any) -> None:
    FeatureStore(folder).features(encoder, files[:10])
    [first] = shards(folder)
    FeatureStore(folder).features(encoder, files)
    first.write_bytes(b"")
    toy.ENCODED.clear()
    FeatureStore(folder).features(encoder, files)
    assert toy.ENCODED["image"] == 10


def test_an_unreadable_item_costs_only_itself(folder: Path, files: list[Path], encoder: Any, toy: Any) -> None:
    files[2].write_text("broken")
    files[13].write_text("broken in another way")
    files[7].unlink()
    heard: list[Event] = []
    store = FeatureStore(folder, listener=heard.append)
    found = store.features(encoder, files)
    assert sorted(found.failed) == [2, 7, 13]
    assert found.kept.tolist() == [i for i in range(20) if i not in (2, 7, 13)]
    assert len(found.x["features"]) == 17
    said = [event.data["message"] for event in heard if event.kind == "warning"]
    assert len(said) == 3
    assert all(any(str(files[i]) in message for message in said) for i in (2, 7, 13))
    assert (found.failed[2].reason, found.failed[7].reason) == ("is broken", "no such file")
    toy.ENCODED.clear()
    assert sorted(store.features(encoder, files).failed) == [2, 7, 13]
    assert not toy.ENCODED, "it is not tried again in the same process"


def test_a_copy_of_an_unreadable_item_is_told_by_its_own_name(files: list[Path], encoder: Any) -> None:
    files[2].write_text("broken")
    files[3].write_text("broken")
    failed = FeatureStore(None).features(encoder, files).failed
    assert {i: str(failed[i]) for i in failed} == {i: f"{files[i]}: is broken" for i in (2, 3)}


def test_what_one_encoder_refuses_another_may_read(toy: Any) -> None:
    store = FeatureStore(None)
    item = np.ones(8)

    class Picky(toy.ToySound):  # type: ignore[misc]
        def _vector(self, item: Any) -> torch.Tensor:
            raise ItemError("it", "is not for me")

    assert 0 in store.features(Picky(), [item]).failed
    assert not store.features(toy.ToyImage(), [item]).failed


def test_strict_raises_and_keeps_what_was_computed(folder: Path, files: list[Path], encoder: Any, toy: Any) -> None:
    files[11].write_text("broken")
    with pytest.raises(ItemError) as caught:
        FeatureStore(folder, strict=True).features(encoder, files)
    assert str(caught.value) == f"{files[11]}: is broken"
    toy.ENCODED.clear()
    FeatureStore(folder).features(encoder, files[:11])
    assert not toy.ENCODED, "the batch of the broken item lost its fellows"


@pytest.mark.parametrize(("shard", "batch"), [(3, 8), (7, 3), (1, 1), (20, 64)])
def test_shards_and_batches_of_any_size(
    folder: Path, files: list[Path], encoder: Any, monkeypatch: pytest.MonkeyPatch, shard: int, batch: int
) -> None:
    monkeypatch.setattr(module, "SHARD", shard)
    encoder.batch_size = batch
    heard: list[Event] = []
    x = FeatureStore(folder, listener=heard.append).features(encoder, files).x["features"]
    assert torch.equal(x, FeatureStore(None).features(encoder, files).x["features"])
    assert len(shards(folder)) == -(-20 // shard)
    progress = [(event.data["done"], event.data["total"], event.data["modality"]) for event in heard]
    assert progress[-1] == (20, 20, "image") and [p[0] for p in progress] == sorted(p[0] for p in progress)


def test_what_was_done_before_a_crash_is_kept(folder: Path, files: list[Path], encoder: Any, toy: Any) -> None:
    calls = 0

    class Dies(toy.ToyImage):  # type: ignore[misc]
        def trunk(self, items: Sequence[Any]) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise KeyboardInterrupt
            return super().trunk(items)

    with pytest.raises(KeyboardInterrupt):
        FeatureStore(folder).features(Dies(), files)
    assert everything(folder) == shards(folder), "a temporary file was left"
    toy.ENCODED.clear()
    FeatureStore(folder).features(encoder, files)
    assert toy.ENCODED["image"] == 12


def test_a_failed_write_is_a_warning_and_leaves_no_file(
    folder: Path, files: list[Path], encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xm.foundation.files.save_file", full)
    heard: list[Event] = []
    found = FeatureStore(folder, listener=heard.append).features(encoder, files)
    assert len(found.kept) == 20
    [warning] = [event.data["message"] for event in heard if event.kind == "warning"]
    assert str(folder) in warning and "No space left" in warning
    assert everything(folder) == []


def test_without_a_folder_it_keeps_to_memory(
    files: list[Path], encoder: Any, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    store = FeatureStore(None)
    store.features(encoder, files)
    store.features(encoder, files)
    assert toy.ENCODED["image"] == 20 and everything(tmp_path) == before


def test_no_items(encoder: Any) -> None:
    found = FeatureStore(None).features(encoder, [])
    assert not found.x and not found.failed and found.kept.tolist() == []


def test_arrays_and_texts(toy: Any) -> None:
    found = FeatureStore(None).features(toy.ToyImage(), [np.ones(8), np.arange(8.0), np.ones(8)])
    assert torch.equal(found.x["features"][0], found.x["features"][2])
    assert len(FeatureStore(None).features(toy.ToyText(), ["a cat", "a dog"]).kept) == 2


TWO = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("xm_toy", sys.argv[1])
toy = sys.modules["xm_toy"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)
from xm import store
store.SHARD = 2
items = sorted(Path(sys.argv[3]).rglob("*.toy"))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(10):
    assert len(store.FeatureStore(Path(sys.argv[2])).features(toy.ToyImage(), items).kept) == len(items)
"""


def test_two_processes_at_once(folder: Path, files: list[Path], encoder: Any, toy: Any) -> None:
    arguments = [sys.executable, "-c", TWO, toy.__file__, str(folder), str(files[0].parents[1])]
    both = [
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    results = []
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        _, errors = process.communicate(timeout=60)
        results.append((process.returncode, errors))
    assert [code for code, _ in results] == [0, 0], results
    assert everything(folder) == shards(folder)
    toy.ENCODED.clear()
    FeatureStore(folder).features(encoder, files)
    assert not toy.ENCODED
