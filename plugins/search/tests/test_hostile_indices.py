"""Indices that are damaged, or that someone made to do harm: one line, and nothing outside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile import FILES, TENSORS, changed, link_out, write
from hypothesis import HealthCheck, given, settings, strategies as st

from xm import RunError, XMError
from xm.plugins import PluginManager
from xm.testing import installed
from xm_search.building import build, open_index

pytest.importorskip("faiss")

QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def plugins() -> PluginManager:
    manager = PluginManager(installed=False)
    manager.register(installed("pixels"), "pixels")
    return manager


@pytest.fixture
def index(plugins: PluginManager, tmp_path: Path) -> Path:
    """Of eight pictures; the queries are beside it."""
    from PIL import Image

    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(tmp_path / "photos" / f"{number}.png")
    where = {"modality": "image", "encoder": "pixels:4", "plugins": plugins, "cache": tmp_path / "cache"}
    build(tmp_path / "photos", out=tmp_path / "index", device="cpu", **where)
    return tmp_path / "index"


@pytest.fixture
def copy(index: Path) -> Callable[[], Path]:
    def make() -> Path:
        shutil.rmtree(index.with_name("copy"), ignore_errors=True)
        return Path(shutil.copytree(index, index.with_name("copy")))

    return make


def ask(folder: Path, plugins: PluginManager) -> None:
    found = open_index(folder, plugins=plugins, device="cpu")
    found.find([folder.parent / "photos" / "0.png"], k=3)
    assert len(found.vectors) == len(found)


def one_line(folder: Path, plugins: PluginManager) -> None:
    try:
        ask(folder, plugins)
    except XMError as error:
        assert "\n" not in str(error), str(error)


@QUICK
@given(data=st.data())
def test_an_index_that_says_something_else(
    data: st.DataObject, copy: Callable[[], Path], plugins: PluginManager
) -> None:
    folder = copy()
    write(folder / "index.json", data.draw(changed(json.loads((folder / "index.json").read_text()))))
    one_line(folder, plugins)


@pytest.mark.parametrize("change", [*FILES, *TENSORS.values()], ids=[*(f.__name__ for f in FILES), *TENSORS])
def test_files_of_another_content(
    change: Callable[[Path], None], copy: Callable[[], Path], plugins: PluginManager
) -> None:
    for path in sorted(copy().iterdir()):
        if change in FILES or path.suffix == ".safetensors":
            folder = copy()
            change(path)
            one_line(folder, plugins)


@QUICK
@given(place=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(1, 10**6))
def test_bytes_of_faiss_that_are_others(
    place: int, byte: int, cut: int, copy: Callable[[], Path], plugins: PluginManager
) -> None:
    path = copy() / "index.faiss"
    data = bytearray(path.read_bytes())
    data[place % len(data)] = byte
    path.write_bytes(data[:cut])
    one_line(path.parent, plugins)


def test_links_out(copy: Callable[[], Path], plugins: PluginManager) -> None:
    for path in sorted(copy().iterdir()):
        folder = copy()
        link_out(path)
        with pytest.raises(RunError, match="leads out of it"):
            ask(folder, plugins)
