"""The toys of this folder are plugins while its tests run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from xm.data import open_dataset
from xm.plugins import manager

TOYS = Path(__file__).with_name("webdataset_toys.py")


@pytest.fixture(autouse=True)
def toys() -> Iterator[Any]:
    """The module `webdataset_toys`, whose encoders the plugin manager knows."""
    manager.cache_clear()
    manager().load_file(TOYS)
    module = sys.modules["webdataset_toys"]
    module.__dict__["ENCODED"].clear()
    yield module
    manager.cache_clear()
    sys.modules.pop("webdataset_toys", None)


@pytest.fixture
def shards(tmp_path: Path, toys: Any) -> str:
    """Pattern of two shards of train, one of val and one of test: 4 images a class in each, .cls, names in .json."""
    number = 0
    for name in ("train-0", "train-1", "val-0", "test-0"):
        files: dict[str, Any] = {}
        for _ in range(4):
            for label, colour in enumerate(sorted(toys.COLOURS)):
                files[f"{number:04}.png"] = toys.png(colour, number)
                files[f"{number:04}.cls"] = label
                files[f"{number:04}.json"] = {"class": colour, "width": 6}
                number += 1
        toys.write_tar(tmp_path / "data" / f"{name}.tar", files)
    return str(tmp_path / "data" / "{train-{0..1},val-0,test-0}.tar")


@pytest.fixture
def opened(tmp_path: Path, toys: Any) -> Callable[..., Any]:
    """Open one shard of these files, with other files beside it; or a source."""

    def make(files: Mapping[str, Any] | str, name: str = "some.tar", **beside: str) -> Any:
        folder = tmp_path / "made"
        source = files if isinstance(files, str) else str(toys.write_tar(folder / name, files))
        for suffix, content in beside.items():
            (folder / f"classes.{suffix}").write_text(content, encoding="utf-8")
        return open_dataset(source, manager(), tmp_path / "cache")

    return make
