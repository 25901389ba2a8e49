"""Suffixes that encoders of several modalities read."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from xm import EncoderSpec, PluginError, hookimpl
from xm.data import modality_of, open_dataset
from xm.data.open import located
from xm.data.unlabelled import open_unlabelled
from xm.plugins import PluginManager


class Reads:
    """A plugin with an encoder; its target is there unless told otherwise."""

    def __init__(self, modality: str, *suffixes: str, looks: str = "", target: str = "xm:Encoder") -> None:
        self.spec = (modality, suffixes, looks, target)

    @hookimpl
    def encoders(self) -> list[EncoderSpec]:
        modality, suffixes, looks, target = self.spec
        name = f"{modality}-{id(self)}"
        return [EncoderSpec(name=name, target=target, modality=modality, suffixes=suffixes, looks=looks)]


def manager(**plugins: Reads) -> PluginManager:
    made = PluginManager(installed=False)
    for name, plugin in plugins.items():
        made.register(plugin, name)
    return made


def photos(root: Path, suffix: str = ".png") -> Path:
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        (root / name / f"1{suffix}").write_text(name)
    return root


def test_a_plugin_that_is_not_there_takes_no_photos(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hijack = Reads("other", ".png", ".jpg", target="not_there:Nothing")
    plugins = manager(aaa=hijack, pixels=Reads("image", ".png", ".jpg"))
    root = photos(tmp_path / "photos")
    assert {s.modality for s in open_dataset(str(root), plugins, tmp_path).samples} == {"image"}
    assert plugins.suffixes() == {".png": "image", ".jpg": "image"}
    open_dataset(str(root), plugins, tmp_path)
    (said,) = caplog.messages  # told once
    assert said.startswith("plugin 'aaa' reads .jpg, .png as other, plugin 'pixels' as image: such files are taken for")


def test_the_warning_names_both_and_the_way_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plugins = manager(aaa=Reads("other", ".png", ".jpg"), a=Reads("image", ".png", ".jpg"), b=Reads("image", ".png"))
    root = photos(tmp_path / "photos")
    assert {s.modality for s in open_dataset(str(root), plugins, tmp_path).samples} == {"image"}
    assert caplog.messages == [
        "plugin 'aaa' reads .png as other, plugin 'a' as image: such files are taken for image; to have them as other "
        "say so: --data other:PATH"
    ]


def test_of_equals_the_first(tmp_path: Path) -> None:
    assert manager(a=Reads("other", ".png"), b=Reads("image", ".png")).suffixes()[".png"] == "other"


def test_modality_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = manager(a=Reads("image", ".png"), b=Reads("image", ".png"), c=Reads("other", ".png"))
    root = photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    assert {s.modality for s in open_dataset("other:photos", plugins, tmp_path).samples} == {"other"}
    assert {s.modality for s in open_dataset("other:folder:photos", plugins, tmp_path).samples} == {"other"}
    assert located("other:photos", plugins) == f"other:{root}"
    assert {s.modality for s in open_unlabelled("photos", ["other"], plugins, tmp_path)["other"]} == {"other"}
    photos(tmp_path / "both" / "image")
    photos(tmp_path / "both" / "other")
    found = open_dataset("both", plugins, tmp_path).samples
    assert [s.modality for s in found] == ["image", "image", "other", "other"]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> str:
    module = types.ModuleType("xm_made_looks")

    def cat(path: Path) -> bool:
        return path.read_text() == "cat"

    def fails(path: Path) -> bool:
        raise RuntimeError("no luck")

    module.__dict__.update(cat=cat, fails=fails)
    monkeypatch.setitem(sys.modules, "xm_made_looks", module)
    return "xm_made_looks"


def test_files_are_looked_at(tmp_path: Path, looks: str, caplog: pytest.LogCaptureFixture) -> None:
    """As a .mp4 of sound alone among videos: one encoder reads them all, more read what looks like theirs."""
    audio = Reads("audio", ".mp4", looks=f"{looks}:cat")
    plugins = manager(a=audio, b=Reads("audio", ".mp4", looks=f"{looks}:cat"), v=Reads("video", ".mp4"))
    root = photos(tmp_path / "clips", ".mp4")
    suffixes = plugins.suffixes()
    assert [s.modality for s in open_dataset(str(root), plugins, tmp_path).samples] == ["audio", "video"]
    assert modality_of("1.mp4", suffixes) == modality_of(root / "cat" / "none.mp4", suffixes) == "video"
    assert modality_of(root / "dog" / "1.mp4", suffixes.among({"audio"})) == "audio" and not caplog.messages


def test_a_look_that_fails_is_the_plugins(tmp_path: Path, looks: str) -> None:
    plugins = manager(a=Reads("audio", ".mp4", looks=f"{looks}:fails"), v=Reads("video", ".mp4"))
    root = photos(tmp_path / "clips", ".mp4")
    with pytest.raises(PluginError, match=r"fails on .*1\.mp4: RuntimeError: no luck"):
        modality_of(root / "cat" / "1.mp4", plugins.suffixes())
