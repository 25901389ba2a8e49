"""Files of sound as recorders, converters and broken downloads leave them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xm.foundation.errors import ItemError

soundfile = pytest.importorskip("soundfile")
av = pytest.importorskip("av")
sounds = pytest.importorskip("xm.media.sounds")

RATE = 16_000


def noise(seconds: float, channels: int = 1, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 0.1, (round(seconds * RATE), channels))


def write(path: Path, samples: NDArray[Any], form: str, **how: Any) -> Path:
    soundfile.write(path, samples, RATE, format=form, **how)
    return path


def by_libav(path: Path, codec: str, seconds: float = 1.0, form: str | None = None, rate: int = 48_000) -> Path:
    """Noise, by an encoder of libav."""
    with av.open(str(path), "w", format=form) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.layout = "mono"
        given = np.random.default_rng(0).normal(0, 0.1, round(seconds * rate)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(given[None], format="fltp", layout="mono")
        frame.rate, frame.pts = rate, 0
        resampler = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.codec_context.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return path


def cut(path: Path, part: float) -> Path:
    found = path.with_name(f"cut-{path.name}")
    found.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    return found


def reason(path: Path) -> str:
    with pytest.raises(ItemError) as caught:
        sounds.read_sound(path, RATE)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("wrong", ("44 + data", "the file's size", "a pad byte that is not there"))
def test_the_length_of_a_riff_says_nothing(wrong: str, tmp_path: Path) -> None:
    samples = noise(0.5)[: 8000 + ("pad" in wrong)]
    path = write(tmp_path / "a.wav", samples, "WAV", subtype="PCM_U8" if "pad" in wrong else "PCM_16")
    whole = path.read_bytes().removesuffix(b"\0") if "pad" in wrong else path.read_bytes()
    length = {"44 + data": len(whole), "the file's size": len(whole), "a pad byte that is not there": len(whole) - 7}
    path.write_bytes(whole[:4] + struct.pack("<I", length[wrong]) + whole[8:])
    assert len(sounds.read_sound(path, RATE)) == len(samples)


@pytest.mark.parametrize(
    ("form", "subtype"),
    [
        *(("WAV", "PCM_16"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("W64", "MS_ADPCM")),
        *(("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"), ("SVX", "PCM_16"), ("NIST", "PCM_16")),
        *(("VOC", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")),
    ],
)
def test_what_is_cut_is_refused(form: str, subtype: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"a.{form.lower()}", noise(2.0), form, subtype=subtype)
    assert len(sounds.read_sound(path, RATE)) >= 2 * RATE
    for part in (0.5, 0.97):
        assert "cut short" in reason(cut(path, part)), part


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.webm", "libopus"), ("a.mka", "flac")])
def test_what_libav_reads_is_refused_if_cut(name: str, codec: str, tmp_path: Path) -> None:
    path = by_libav(tmp_path / name, codec, 3.0)
    assert reason(cut(path, 0.6))


def test_a_flac_that_does_not_know_its_length(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", noise(1.0, 2), "FLAC")
    before, data = sounds.read_sound(path, RATE), bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert torch.equal(sounds.read_sound(path, RATE), before)
    assert reason(cut(path, 0.6))
    data[21] |= 0x0F
    data[22:26] = bytes([255]) * 4
    path.write_bytes(data)
    assert "cut short" in reason(path), "its header says 2^36 - 1 samples"


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        *(("a.m4a", "aac", None), ("a.mp4", "aac", None), ("a.webm", "libopus", None), ("a.mka", "flac", None)),
        *(("a.aac", "aac", "adts"), ("a.mov", "pcm_s24le", None), ("a.wv", "wavpack", None)),
        *(("flac.ogg", "flac", "ogg"), ("mp3.wav", "libmp3lame", "wav"), ("renamed.mp3", "aac", "ipod")),
    ],
)
def test_sounds_by_libav(name: str, codec: str, form: str | None, tmp_path: Path, capfd: Any) -> None:
    path = by_libav(tmp_path / name, codec, 1.0, form)
    found = sounds.read_sound(path, 48_000)
    assert 48_000 <= len(found) <= 48_000 + 2 * 2048, "and what the codec adds"
    assert 0.07 < float(found.std()) < 0.11
    assert capfd.readouterr() == ("", "")


def test_what_is_called_mp3_and_is_none_is_one_line(tmp_path: Path, capfd: Any) -> None:
    path = tmp_path / "a.mp3"
    for content in (b"hello\n" * 400, bytes(5000), b"\x89PNG\r\n\x1a\n" + bytes(99)):
        path.write_bytes(content)
        assert "is not a sound" in reason(path) or "no sound track" in reason(path)
    assert capfd.readouterr() == ("", "")


def test_a_wav_whose_header_was_never_finished(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(1.0), "WAV")
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(4) + data[8:40] + bytes(4) + data[44:])
    assert "is empty: it holds no samples by its header, in a file of 32,044 bytes" in reason(path)
    path.write_bytes(data[:4] + b"\xff" * 4 + data[8:40] + b"\xff" * 4 + data[44:])
    assert len(sounds.read_sound(path, RATE)) == RATE, "written to a pipe"


@pytest.mark.parametrize("factor", (-1.0, -0.99))
def test_channels_that_cancel_each_other(factor: float, tmp_path: Path) -> None:
    one = noise(0.5)[:, 0]
    turned = write(tmp_path / "a.wav", np.stack([factor * one, one], 1), "WAV")
    alone = write(tmp_path / "b.wav", one, "WAV")
    found, expected = sounds.read_sound(turned, RATE), sounds.read_sound(alone, RATE)
    torch.testing.assert_close(found.abs(), expected.abs(), atol=2 / 32768, rtol=0)


def test_channels_that_do_not_are_averaged(tmp_path: Path) -> None:
    for channels in (noise(0.5, 2), noise(0.5, 6), noise(0.5, 6) * [1, 0, 0, 0, 0, 0]):
        path = write(tmp_path / "a.wav", channels, "WAV", subtype="FLOAT")
        mean = channels.astype(np.float32).mean(axis=1)
        assert torch.equal(sounds.read_sound(path, RATE), torch.from_numpy(mean))


def test_samples_far_beyond_1_are_told(tmp_path: Path) -> None:
    loud = 32767 * noise(0.5)[:, 0]
    path = write(tmp_path / "a.wav", loud, "WAV", subtype="FLOAT")
    assert "floats lie within -1 to 1; divide integers by 32768" in reason(path)
    with pytest.raises(ItemError, match=r"^<array 8000 float64, 16000>: holds samples up to 12,777,"):
        sounds.read_sound((loud, RATE), RATE)
    hot = write(tmp_path / "hot.wav", np.full(100, 1.5), "WAV", subtype="FLOAT")
    assert float(sounds.read_sound(hot, RATE).max()) == 1.5
