"""Choosing encoders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from xm.data.types import Dataset
from xm.encoders.choice import EncoderChoice
from xm.encoders.reference import make_encoder
from xm.foundation.errors import PluginError, RunError, UsageError
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import EncoderSpec

CPU = torch.device("cpu")


def choice(plugins: PluginManager, named: dict[str, str] | None = None, **asked: str) -> EncoderChoice:
    return EncoderChoice(plugins, Dataset("data", ("a", "b"), (), encoders=asked), CPU, named or {})


def add(plugins: PluginManager, name: str, modality: str = "image", **rest: Any) -> None:
    target = f"xm_toy:Toy{modality.title()}"
    plugins.encoders[name] = EncoderSpec(name=name, target=target, modality=modality, **rest)


def test_named_goes_before_asked_for_goes_before_priority(plugins: PluginManager) -> None:
    add(plugins, "other", priority=0)
    add(plugins, "better", priority=99)
    by_default = choice(plugins)["image"]
    assert (by_default.reference, by_default.why) == ("better", "the best that can be used here")
    asked = choice(plugins, image="other")["image"]
    assert (asked.reference, asked.why) == ("other", "data asks for it")
    named = choice(plugins, {"image": "toy-image"}, image="other")["image"]
    assert (named.reference, named.why) == ("toy-image", "you named it")


def test_it_is_made_once(plugins: PluginManager) -> None:
    one = choice(plugins)
    assert one["image"].encoder is one["image"].encoder


def test_those_that_can_not_be_used_are_passed_over_and_told(plugins: PluginManager, toy: Any) -> None:
    toy.why_not = lambda: "try: pip install weights"
    add(plugins, "best", priority=99, available="xm_toy:why_not")
    assert choice(plugins)["image"].reference == "toy-image"
    del plugins.encoders["toy-image"]
    with pytest.raises(PluginError) as caught:
        choice(plugins)["image"]
    assert "best: try: pip install weights" in str(caught.value)
    assert "--image-encoder (known: best)" in str(caught.value)
    add(plugins, "last", priority=0)
    with pytest.raises(PluginError, match=r"known: best, last"):
        choice(plugins)["image"]
    assert choice(plugins, {"image": "last"})["image"].reference == "last"


def test_unknown(plugins: PluginManager) -> None:
    with pytest.raises(UsageError, match="unknown modality 'imago': did you mean 'image'"):
        choice(plugins)["imago"]
    with pytest.raises(UsageError, match="unknown modality 'imag': did you mean 'image'"):
        choice(plugins, {"imag": "toy-image"})
    with pytest.raises(UsageError, match="unknown encoder 'toy'"):
        choice(plugins, {"image": "toy"})["image"]


def test_who_reads_names(plugins: PluginManager) -> None:
    namer = choice(plugins).namer(("image", "audio"))
    assert namer is not None and namer.encoder.modality == "text"
    del plugins.encoders["toy-text"]
    assert choice(plugins).namer(("image", "audio")) is None


def test_siblings_serve_for_either_modality(plugins: PluginManager, toy: Any) -> None:
    add(plugins, "clip", priority=1, argument="a model")
    add(plugins, "clip-text", "text", argument="a model")
    assert make_encoder("clip", plugins, CPU, "text").modality == "text"
    assert make_encoder("clip-text", plugins, CPU).modality == "text"
    with pytest.raises(UsageError, match=r"encoder 'clip' is for image, not audio \(known: toy-sound\)"):
        make_encoder("clip", plugins, CPU, "audio")
    with pytest.raises(UsageError, match="toy:ViT: no argument"):
        make_encoder("clip:ViT", plugins, CPU, "image")
    with pytest.raises(UsageError, match="takes no argument; write 'toy-image' instead of 'toy-image:x'"):
        make_encoder("toy-image:x", plugins, CPU)


def test_it_computes_where_it_is_told(plugins: PluginManager) -> None:
    assert make_encoder("toy-image", plugins, torch.device("meta")).device == torch.device("meta")


def test_one_that_does_not_import_is_named(plugins: PluginManager) -> None:
    plugins.encoders["gone"] = EncoderSpec(name="gone", target="no_such_module_of_mine:X", modality="image")
    with pytest.raises(PluginError, match="no_such_module_of_mine"):
        make_encoder("gone", plugins, CPU)


def test_a_fellow_of_a_named_encoder_goes_before_the_default(plugins: PluginManager) -> None:
    add(plugins, "better", modality="text", priority=99)
    plugins.encoders.plugin_of["better"] = "elsewhere"
    assert choice(plugins)["text"].reference == "better"
    fellow = choice(plugins, {"image": "toy-image"})["text"]
    assert (fellow.reference, fellow.why) == ("toy-text", "it shares the space of the image encoder")
    assert choice(plugins, {"audio": "toy-sound"})["text"].reference == "better", "another space is no reason"


def test_a_folder_that_is_no_run_is_told_as_one(
    plugins: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "heard").mkdir()
    for reference, expected in (
        ("runs/heard", "runs/heard: no such run folder (runs is missing)"),
        ("heard", "heard: is a folder without xm.json, no run of xm align, and so no encoder"),
        ("heart/", "heart: no such run folder; did you mean heard?; an encoder is a name (xm plugins list)"),
        ("/" + 300 * "a", "no such run folder; an encoder is a name"),
    ):
        with pytest.raises(RunError, match=re.escape(expected)):
            make_encoder(reference, plugins, CPU, "image")
    for name in ("toy-imag", 300 * "a", "~nobody"):
        with pytest.raises(UsageError, match="unknown encoder"):
            make_encoder(name, plugins, CPU, "image")
