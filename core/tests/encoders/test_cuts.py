"""Texts of which an encoder reads the beginning alone are told of, once, with their number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xm.encoders import FeatureStore, Preparing, embed, note_cut
from xm.encoders.cuts import heard_cuts
from xm.foundation.events import Event
from xm.learning.stream import Inputs
from xm.plugins import EncoderSpec, PluginManager, hookimpl


class Short(Preparing):
    """The first four characters of a text."""

    modality, suffixes, space, dim, accepts_names, batch_size = "text", (".txt",), "short", 4, True, 2
    views = ("twice",)

    def __init__(self, argument: str = "") -> None:
        pass

    def fingerprint(self) -> str:
        return "short"

    def prepare(self, item: Any) -> Tensor:
        text = item.read_text() if isinstance(item, Path) else item
        if len(text) > 4:
            note_cut(item, 4)
        return torch.tensor([float(ord(letter)) for letter in text[:4].ljust(4)])

    def compute(self, prepared: Sequence[Tensor]) -> Inputs:
        return {"features": torch.stack(list(prepared))}


TEXTS = ["abcd", "abcde", "x", "a long one", "abcde"]
TOLD = "text: {} of {} items {} longer than the 4 tokens that the encoder reads; what lies behind them is left out"


class Heard(list[str]):
    def __call__(self, event: Event) -> None:
        if event.kind == "warning":
            self.append(event.data["message"])


@pytest.mark.parametrize("kept", (False, True))
def test_the_store_tells_once_and_of_what_it_kept(kept: bool, tmp_path: Path) -> None:
    heard = Heard()
    store = FeatureStore(tmp_path if kept else None, listener=heard)
    for _ in range(2):
        x = store.features(Short(), TEXTS).x
        store.features(Short(), TEXTS[:2])
    assert x.keys() == {"features"} and heard == [TOLD.format(3, 5, "are")]
    store.features(Short(), [*TEXTS, "another one"])
    assert heard[1:] == [TOLD.format(4, 6, "are")]
    if kept:
        again = Heard()
        found = FeatureStore(tmp_path, listener=again).features(Short(), ["x", "abcde"])
        assert found.x.keys() == {"features"} and again == [TOLD.format(1, 2, "is")]


def test_what_was_read_whole_is_kept_as_ever(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    heard = Heard()
    FeatureStore(tmp_path, listener=heard).features(Short(), ["a", "b"])
    (shard,) = tmp_path.rglob("*.safetensors")
    assert load_file(shard).keys() == {"features", "key"} and not heard


def test_embedding_tells_once(tmp_path: Path) -> None:
    class Plugin:
        @hookimpl
        def encoders(self) -> list[EncoderSpec]:
            return [
                EncoderSpec(name="short", target=f"{__name__}:Short", modality="text", suffixes=(".txt",), priority=1)
            ]

    for name, split in (("a", "train"), ("b", "train"), ("a", "test"), ("b", "test")):
        place = tmp_path / "data" / split / name
        place.mkdir(parents=True)
        (place / "1.txt").write_text(f"{name} long one")
        (place / "2.txt").write_text(name)
    plugins, heard = PluginManager(installed=False), Heard()
    plugins.register(Plugin(), "short")
    embed(str(tmp_path / "data"), tmp_path / "bank.safetensors", plugins=plugins, listener=heard, workers=2)
    assert heard == [TOLD.format(4, 8, "are")]


def test_nobody_need_listen() -> None:
    note_cut("a", 3)
    with heard_cuts() as outer, heard_cuts() as inner:
        item = "a text"
        note_cut(item, 7)
    assert outer == inner == {id(item): 7}
    note_cut(item, 8)
    assert outer == {id(item): 7}
