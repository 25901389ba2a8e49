"""MP3s: with and without the header frame that tells their length, joined, cut, tagged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xm.foundation.errors import ItemError

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("av")
sounds = pytest.importorskip("xm.media.sounds")

RATE = 22_050
RATES = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def write(path: Path, levels: tuple[float, ...], seed: int = 0, mode: str = "VARIABLE") -> bytes:
    """A second of noise a level."""
    noise = np.random.default_rng(seed).normal(0, 1, len(levels) * RATE) * np.repeat(levels, RATE)
    soundfile.write(path, noise, RATE, format="MP3", bitrate_mode=mode, compression_level=0.9)
    return path.read_bytes()


def without_header(data: bytes) -> bytes:
    """Of MPEG 2's layer III: without its first frame."""
    assert b"Xing" in data[:200] or b"Info" in data[:200]
    return data[72 * RATES[data[2] >> 4] * 1000 // RATE + (data[2] >> 1 & 1) :]


@pytest.mark.parametrize("levels", ((1e-3, 1e-3, 0.2, 0.2), (0.2, 0.2, 1e-3, 1e-3)))
def test_without_a_header_frame_it_is_read_whole(levels: tuple[float, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    whole = write(path, levels)
    told = sounds.read_sound(path, RATE)
    path.write_bytes(without_header(whole))
    found = sounds.read_sound(path, RATE)
    assert len(told) == 4 * RATE and 0 <= len(found) - len(told) <= 3 * 1152
    assert abs(float(found.square().mean().sqrt() / told.square().mean().sqrt()) - 1) < 0.02


def test_joined_files_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    data = write(path, (0.1,)) + write(path, (0.1,), seed=1)
    path.write_bytes(data)
    assert 2 * RATE <= len(sounds.read_sound(path, RATE)) <= 2 * RATE + 5 * 1152


@pytest.mark.parametrize("mode", ("CONSTANT", "VARIABLE"))
def test_whole_files_are_as_libsndfile_reads_them(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    data = write(path, (0.1, 0.2), mode=mode)
    tag = b"ID3\x03\0\0\0\0\x07\x68" + bytes(1000)
    for content in (data, tag + data, data + b"TAG" + bytes(125), bytes(300) + data):
        path.write_bytes(content)
        with soundfile.SoundFile(path) as file:
            expected = torch.from_numpy(file.read(dtype="float32"))
        assert len(expected) >= 2 * RATE and torch.equal(sounds.read_sound(path, RATE), expected)


def test_what_is_cut_is_told_without_notes_of_a_library(tmp_path: Path, capfd: Any) -> None:
    path = tmp_path / "a.mp3"
    data = write(path, (0.1, 0.2))
    path.write_bytes(data[: len(data) * 3 // 5])
    with pytest.raises(ItemError, match="is cut short: it holds less than its header says"):
        sounds.read_sound(path, RATE)
    assert capfd.readouterr() == ("", "")
