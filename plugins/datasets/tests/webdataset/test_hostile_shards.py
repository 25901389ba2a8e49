"""Tar shards, and indices of them in the cache, that are damaged or that someone made to do harm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile import FILES, VALUES, changed
from hypothesis import HealthCheck, given, settings, strategies as st

from xm import XMError
from xm_datasets.webdataset.dataset import open_shards

QUICK = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
SUFFIXES = {".png": "image", ".wav": "audio", ".txt": "text"}


@pytest.fixture
def shard(toys: Any, tmp_path: Path) -> Path:
    files: dict[str, Any] = {"classes.txt": "red\nblue\n"}
    for number in range(3):
        files |= {f"{number}.png": toys.png("red", number), f"{number}.txt": "words", f"{number}.cls": number % 2}
        files[f"{number}.json"] = {"split": "train", "group": "a", "tags": ["x"], "caption": "said"}
    made: Path = toys.write_tar(tmp_path / "shard.tar", files)
    return made


def read(shard: Path, cache: Path) -> None:
    """It is read, with all items, or refused in a line."""
    try:
        dataset = open_shards(str(shard), suffixes=SUFFIXES, cache=cache)
        for sample in dataset.samples:
            if hasattr(sample.item, "read_bytes"):
                sample.item.read_bytes()
    except XMError as error:
        assert "\n" not in str(error), str(error)
    except OSError as error:  # what encoders make an ItemError of
        assert "ends within it" in str(error)


@QUICK
@given(data=st.data())
def test_other_bytes(data: st.DataObject, shard: Path, tmp_path: Path) -> None:
    content = bytearray(shard.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        block = 512 * data.draw(st.integers(0, len(content) // 512 - 1))
        content[block + data.draw(st.integers(0, 511))] = data.draw(st.integers(0, 255))
    other = tmp_path / "other.tar"
    other.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    read(other, tmp_path / f"cache{data.draw(st.integers(0, 10**9))}")


@QUICK
@given(value=st.sampled_from(VALUES), key=st.sampled_from(["split", "group", "tags", "caption", "label", "class"]))
def test_facts_of_other_values(value: Any, key: str, toys: Any, tmp_path: Path) -> None:
    facts = {"label": "red", "split": "train", key: value}
    shard = toys.write_tar(tmp_path / "facts.tar", {"1.png": toys.png("red", 1), "1.json": facts})
    read(shard, tmp_path / repr(value)[:20].replace("/", "") / key)


@pytest.mark.parametrize("change", FILES)
def test_shards_of_another_content(change: Callable[[Path], None], shard: Path, tmp_path: Path) -> None:
    change(shard)
    read(shard, tmp_path / "cache")


@QUICK
@given(data=st.data())
def test_an_index_of_other_values(data: st.DataObject, shard: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    read(shard, cache)
    (index,) = cache.rglob("*.json")
    index.write_text(json.dumps(data.draw(changed(json.loads(index.read_text())))))
    read(shard, cache)


@pytest.mark.parametrize("change", FILES)
def test_an_index_of_another_content(change: Callable[[Path], None], shard: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    read(shard, cache)
    (index,) = cache.rglob("*.json")
    change(index)
    read(shard, cache)
