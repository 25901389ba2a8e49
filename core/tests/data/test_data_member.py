from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from xm import DatasetSpec, hookimpl
from xm.data import Dataset, View, content_key, item_name
from xm.data.content import identity
from xm.data.member import Member, opened
from xm.data.open import open_dataset
from xm.encoders.items import read_text
from xm.foundation.errors import DataError, ItemError, UsageError
from xm.media.images import read_image
from xm.media.sounds import read_sound
from xm.plugins.plugin_manager import PluginManager


def image() -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def sound(form: str) -> bytes:
    import soundfile

    stream = io.BytesIO()
    wave = np.random.default_rng(1).uniform(-0.5, 0.5, (8000, 2)).astype(np.float32)
    soundfile.write(stream, wave, 16000, format=form)
    return stream.getvalue()


def packed(folder: Path, name: str, content: bytes) -> tuple[Path, Member]:
    """The same bytes as a file, and as the second member of a tar."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    first = folder / "first"
    first.write_bytes(b"first")
    with tarfile.open(folder / "some.tar", "w") as tar:
        tar.add(first, "first")
        tar.add(path, name)
    with tarfile.open(folder / "some.tar") as tar:
        info = tar.getmember(name)
    return path, Member(folder / "some.tar", info.offset_data, info.size, name)


def test_a_member_is_its_bytes(tmp_path: Path) -> None:
    path, member = packed(tmp_path, "a/1.seg.png", b"abc" * 1000)
    assert member.read_bytes() == path.read_bytes()
    assert member.open("rb").read(4) == b"abca"
    assert (member.suffix, member.stem) == (path.suffix, path.stem)
    assert member.is_file()
    assert pickle.loads(pickle.dumps(member)) == member
    assert len({member, pickle.loads(pickle.dumps(member))}) == 1
    assert opened(path) == path == opened(str(path))
    file = opened(member)
    assert isinstance(file, io.BytesIO) and file.read() == path.read_bytes()
    with pytest.raises(ValueError, match="'rb', not 'w'"):
        member.open("w")


def test_content_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, member = packed(tmp_path, "a/1.txt", b"abc" * 1_000_000)
    assert content_key(member) == content_key(path)
    assert content_key(View(member, "flip")) == content_key(View(path, "flip"))
    assert content_key(Member(member.path, member.offset, 3, "a/1.txt")) != content_key(path)
    assert item_name(member) == str(member) == f"{tmp_path}/some.tar/a/1.txt"
    monkeypatch.chdir(tmp_path)
    near = Member(Path("some.tar"), member.offset, member.size, member.name)
    assert identity(near) == identity(member) != identity(path)


def test_every_reader_reads_members(tmp_path: Path) -> None:
    path, member = packed(tmp_path, "1.png", image())
    for ours, theirs in ((member, path), (View(member, "crop1"), View(path, "crop1"))):
        assert np.array_equal(np.asarray(read_image(ours)), np.asarray(read_image(theirs)))
    path, member = packed(tmp_path, "1.txt", "\ufeff a façade\r\nis red \n".encode())
    assert read_text(member) == read_text(path) == "a façade\nis red"
    for form in ("WAV", "FLAC", "OGG", "MP3", "AIFF"):
        path, member = packed(tmp_path, f"1.{form.lower()}", sound(form))
        assert torch.equal(read_sound(member, 8000), read_sound(path, 8000)), form


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("1.png", image()[:60], read_image),
        ("1.png", b"no image", read_image),
        ("1.png", b"", read_image),
        ("1.wav", sound("WAV")[:900], lambda item: read_sound(item, 8000)),
        ("1.wav", b"no sound", lambda item: read_sound(item, 8000)),
        ("1.wav", b"", lambda item: read_sound(item, 8000)),
        ("1.txt", b"\xff", read_text),
        ("1.txt", b" ", read_text),
    ],
)
def test_damaged_members_fail_as_files_do(name: str, content: bytes, read: Any, tmp_path: Path) -> None:
    path, member = packed(tmp_path, name, content)
    with pytest.raises(ItemError) as ours:
        read(member)
    with pytest.raises(ItemError) as theirs:
        read(path)
    assert ours.value.reason == theirs.value.reason
    assert str(ours.value).startswith(f"{member}: ")


@pytest.mark.parametrize("read", [read_image, read_text, content_key, lambda item: read_sound(item, 8000)])
def test_a_tar_that_changed(read: Any, tmp_path: Path) -> None:
    _, member = packed(tmp_path, "1.txt", b"abc")
    with member.path.open("r+b") as file:
        file.truncate(member.offset + 1)
    with pytest.raises(ItemError, match=r"1\.txt: .*the tar ends within it, 2 bytes early"):
        read(member)
    member.path.unlink()
    with pytest.raises(ItemError, match=r"1\.txt: no such file$"):
        read(member)


def made(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    return Dataset(name=source, classes=(), samples=())


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> PluginManager:
    import sys
    import types

    class Plugin:
        @hookimpl
        def datasets(self) -> list[DatasetSpec]:
            return [DatasetSpec(name="tars", target="xm_made_tars:made", opens=(".tar",))]

    module = types.ModuleType("xm_made_tars")
    module.__dict__["made"] = made
    monkeypatch.setitem(sys.modules, "xm_made_tars", module)
    manager = PluginManager(installed=False)
    manager.register(Plugin(), "made")
    return manager


@pytest.mark.parametrize("source", ["s-{000..099}.tar", "s-*.tar", "a/{b,c}/s.tar", "s-?.TAR", "s[12].tar"])
def test_a_pattern_goes_to_the_reader_of_its_suffix(source: str, manager: PluginManager, tmp_path: Path) -> None:
    assert open_dataset(source, manager, tmp_path).name == source
    assert open_dataset(f"~/{source}", manager, tmp_path).name == str(Path(f"~/{source}").expanduser())


def test_sources_that_are_no_patterns(manager: PluginManager, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"s-1\.tar: no such file or folder$"):
        open_dataset(str(tmp_path / "s-1.tar"), manager, tmp_path)
    with pytest.raises(DataError, match=r"s-\*\.parquet: no such file or folder$"):
        open_dataset(str(tmp_path / "s-*.parquet"), manager, tmp_path)
    with pytest.raises(UsageError, match=r"unknown dataset 'photos\*'"):
        open_dataset("photos*", manager, tmp_path)


@pytest.mark.parametrize(
    ("name", "tool"), [("s.tar.gz", "gunzip"), ("s.TGZ", "gunzip"), ("t.csv.bz2", "bunzip2"), ("s.tar.zst", "unzstd")]
)
def test_what_is_compressed(name: str, tool: str, manager: PluginManager, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    for source in (tmp_path / name, tmp_path / f"{{0..1}}{name}"):
        with pytest.raises(DataError) as caught:
            open_dataset(str(source), manager, tmp_path)
        inner = source.with_suffix(".tar" if name.endswith("TGZ") else "")
        assert str(caught.value) == f"{source}: is compressed; unpack it ({tool}), then give {inner}"
    (tmp_path / "x.parquet.gz").touch()
    with pytest.raises(DataError, match="no plugin opens such a file"):
        open_dataset(str(tmp_path / "x.parquet.gz"), manager, tmp_path)


@pytest.mark.parametrize("source", ["https://example.org/s-{0..9}.tar", "pipe:cat s.tar", "S3://bucket/s.tar"])
def test_what_is_not_on_disk(source: str, manager: PluginManager, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_dataset(source, manager, tmp_path)
    assert str(caught.value) == f"--data {source}: data are read from disk; store the files first, then give their path"
