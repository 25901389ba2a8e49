"""Banks, caches, unfinished banks and alignments that are damaged, or that someone made to do harm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile import FILES, TENSORS, changed, link_out, nested, noise, write
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

import xm
from xm.encoders.bank import Bank
from xm.encoders.bank_writer import FAILED, PLAN, ROWS, VECTORS, Part
from xm.encoders.reference import make_encoder
from xm.encoders.store import FeatureStore
from xm.foundation.errors import RunError, XMError
from xm.foundation.events import silent
from xm.plugins.plugin_manager import PluginManager

CPU = torch.device("cpu")
QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
ANY = [*FILES, *TENSORS.values()]
NAMES = [*(change.__name__ for change in FILES), *TENSORS]


def one_line(call: Callable[[], object]) -> None:
    """It works, or says in a line why not."""
    try:
        call()
    except XMError as error:
        assert "\n" not in str(error), str(error)


@pytest.fixture
def bank(plugins: PluginManager, table: Path, tmp_path: Path) -> Path:
    xm.embed(str(table), tmp_path / "bank.safetensors", device="cpu", cache=tmp_path / "cache", plugins=plugins)
    return tmp_path / "bank.safetensors"


def read(bank: Path) -> None:
    opened = Bank(bank)
    for name in opened.names:
        split, _, modality = name.partition("_")
        assert len(opened.stream(split, modality)) == len(opened.rows.get(name, opened.arrays[name]))


@pytest.mark.parametrize("change", ANY, ids=NAMES)
def test_banks_of_another_content(change: Callable[[Path], None], bank: Path) -> None:
    change(bank)
    one_line(lambda: read(bank))


@QUICK
@given(data=st.data())
def test_banks_that_say_something_else(data: st.DataObject, bank: Path) -> None:
    with safe_open(bank, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    values = {name: json.loads(value) for name, value in metadata.items()}
    told = {name: json.dumps(value) for name, value in data.draw(changed(values)).items()}
    other = bank.with_name("other.safetensors")
    save_file(tensors, other, told)
    one_line(lambda: read(other))


@pytest.mark.parametrize("change", ANY, ids=NAMES)
def test_a_damaged_cache_is_made_again(change: Callable[[Path], None], toy: Any, tmp_path: Path) -> None:
    files = sorted(toy.write_folder(tmp_path / "data", each=4).rglob("*.toy"))
    encoder, cache = toy.ToyImage(), tmp_path / "features"
    first = FeatureStore(cache).features(encoder, files)
    change(next(cache.rglob("*.safetensors")))
    again = FeatureStore(cache, listener=silent).features(encoder, files)
    assert torch.equal(again.x["features"], first.x["features"]) or change is TENSORS["huge"]
    assert torch.isfinite(again.x["features"]).all()


@pytest.mark.parametrize("change", FILES)
def test_a_damaged_part_of_a_bank_is_made_again(change: Callable[[Path], None], tmp_path: Path) -> None:
    plan, rows = {"n": 4}, [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    for name in (PLAN, ROWS, VECTORS, FAILED):
        Part(tmp_path / name, plan, 2).append([0, 2, 3], torch.tensor(rows), {1: "cut short"})
        change(tmp_path / name / name)
        again = Part(tmp_path / name, plan, 2)
        done = again.done
        assert done == [0, 2, 3][: len(done)] and again.failed in ({1: "cut short"}, {})
        assert again.vectors.tolist() == rows[: len(done)] or change in (noise, nested)


@pytest.fixture
def alignment(plugins: PluginManager, table: Path, tmp_path: Path) -> Path:
    """`xm align` of the toys' sounds to their pictures."""
    made = {"anchor": "image", "new": ["audio"], "data": str(table), "aligner": "ridge", "out": tmp_path / "alignment"}
    xm.align(**made, device="cpu", cache=tmp_path / "cache", plugins=plugins, listener=silent)
    return tmp_path / "alignment"


def ask(alignment: Path, plugins: PluginManager, sound: Path) -> None:
    make_encoder(str(alignment), plugins, CPU, "audio").encode([sound])


@QUICK
@given(data=st.data())
def test_alignments_that_say_something_else(
    data: st.DataObject, alignment: Path, plugins: PluginManager, table: Path
) -> None:
    sound = next(table.parent.rglob("*.snd"))
    other = alignment.with_name("other")
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(alignment, other)
    write(other / "xm.json", data.draw(changed(json.loads((alignment / "xm.json").read_text()))))
    one_line(lambda: ask(other, plugins, sound))


@pytest.mark.parametrize("change", ANY, ids=NAMES)
def test_alignments_of_another_content(
    change: Callable[[Path], None], alignment: Path, plugins: PluginManager, table: Path
) -> None:
    change(alignment / "maps" / "audio.safetensors")
    one_line(lambda: ask(alignment, plugins, next(table.parent.rglob("*.snd"))))


def test_an_alignment_whose_map_is_a_link_out(alignment: Path, plugins: PluginManager, table: Path) -> None:
    link_out(alignment / "maps" / "audio.safetensors")
    with pytest.raises(RunError, match="leads out of it"):
        ask(alignment, plugins, next(table.parent.rglob("*.snd")))
