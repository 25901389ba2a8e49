"""The encoder `logmel`."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from xm import EncoderSpec, ItemError, UsageError
from xm.encoders import encode
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_plain.logmel.encoder import LogMel, trim

RATE = 16_000


def tone(*pitches: float, seconds: float = 0.3, rate: int = RATE) -> NDArray[np.float32]:
    """Pitches one after the other."""
    t = np.arange(int(seconds * rate)) / rate
    return np.concatenate([0.3 * np.sin(2 * np.pi * p * t) for p in pitches]).astype(np.float32)


@pytest.fixture
def word(tmp_path: Path) -> Path:
    path = tmp_path / "word.wav"
    soundfile.write(path, tone(300, 900, 500), RATE)
    return path


class TestConformance(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("logmel")

    @pytest.fixture
    def items(self, word: Path) -> Sequence[Any]:
        return [word, (tone(400, 200), RATE), (tone(1000, 3000, rate=44_100), 44_100), str(word)]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Any:
        path = tmp_path / "noise.wav"
        path.write_bytes(b"this is no sound")
        return path

    @pytest.fixture
    def labelled(self) -> tuple[Sequence[Any], Sequence[int]]:
        data = os.environ.get("XM_DATA")
        if not data:
            pytest.skip("XM_DATA is not set: no spoken digits to tell apart")
        paths = sorted(Path(data, "fsdd").rglob("*.wav"))[::3]
        return paths, [int(path.name[0]) for path in paths]


def test_space_says_the_size() -> None:
    encoder = LogMel("20x8")
    assert (encoder.space, encoder.dim, LogMel().space) == ("logmel-20x8", 160, "logmel-40x16")
    assert encoder.fingerprint() != LogMel().fingerprint() == LogMel("40x16").fingerprint()
    for wrong in ("40", "0x0", "1x16", "65x16", "40x16x2"):
        with pytest.raises(UsageError, match="logmel:40x16"):
            LogMel(wrong)


def test_loudness_pace_silence_offset_and_rate_do_not_count() -> None:
    plain = tone(300, 900, 500)
    quiet = np.zeros(8000, np.float32)
    x = LogMel().encode(
        [
            (plain, RATE),
            (plain * 0.05, RATE),
            (tone(300, 900, 500, seconds=0.6), RATE),
            (np.concatenate([quiet, plain, quiet]), RATE),
            (plain * 0.5 + 0.1, RATE),
            (tone(300, 900, 500, rate=22_050), 22_050),
            (tone(500, 900, 300), RATE),
        ]
    )
    near = x[1:] @ x[0]
    assert near[:-1].min() > 0.97
    assert near[-1] < 0.8


def test_length_policies() -> None:
    """By hand: 5 s of tones are the mean of three pictures of 2 s, by what they hold, to within a dB."""
    long = np.concatenate([tone(300, seconds=2), tone(900, seconds=2), tone(500, seconds=1)])
    parts = [tone(300, seconds=2), tone(900, seconds=2), tone(500, 500, seconds=1)]
    one = LogMel("20x8")
    x = one.trunk([(part, RATE) for part in parts])["features"]
    ours = LogMel("20x8?length=loop").trunk([(long, RATE)])["features"][0]
    torch.testing.assert_close(ours, 0.4 * x[0] + 0.4 * x[1] + 0.2 * x[2], atol=1, rtol=0)
    assert (ours - one.trunk([(long, RATE)])["features"][0]).abs().max() > 10
    assert len({LogMel(a).fingerprint() for a in ("", "length=chunks", "40x16?length=chunks", "length=crop")}) == 3
    assert LogMel("length=crop").space == LogMel().space
    with pytest.raises(UsageError, match="unknown length policy 'lop'"):
        LogMel("20x8?length=lop")


def test_trim_keeps_what_sounds() -> None:
    sound = torch.cat([torch.zeros(4000), torch.ones(3200), torch.zeros(4000)])
    assert 3200 <= len(trim(sound)) < 3200 + 2 * 400
    assert len(trim(torch.ones(10))) == 400


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"])
def test_every_suffix_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"stereo{suffix}"
    left = tone(300, 900, 500)
    soundfile.write(path, np.stack([left, left], 1), RATE, format="OGG" if suffix == ".opus" else None,
                    subtype="OPUS" if suffix == ".opus" else None)  # fmt: skip
    x = LogMel().encode([path, (left, RATE)])
    assert x[0] @ x[1] > 0.95


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ((np.zeros(16_000), RATE), "is silent"),
        ((np.full(16_000, 0.5), RATE), "is silent"),
        ((np.zeros(0), RATE), "is empty"),
        ((np.array([0.1, np.nan]), RATE), "not finite"),
        ((np.zeros((2, 50)), RATE), "samples must be floats"),
        ((tone(300), 0), "whole number of Hz above 0"),
        ((tone(300), 44_099), "no short ratio"),
        (3, "is no sound"),
        (Path("/nowhere/there.wav"), "no such file"),
    ],
)
def test_bad_items(item: Any, reason: str) -> None:
    with pytest.raises(ItemError, match=reason) as caught:
        LogMel().encode([item])
    assert "\n" not in str(caught.value)


def test_silent_truncated_and_empty_files_are_named(tmp_path: Path, word: Path) -> None:
    silent, empty, bare = tmp_path / "silent.wav", tmp_path / "empty.wav", tmp_path / "bare.wav"
    soundfile.write(silent, np.zeros(8000), RATE)
    soundfile.write(bare, np.zeros(0), RATE)
    empty.touch()
    cases = {silent: "is silent", empty: "is empty", bare: "is empty"}
    for name in ("cut.wav", "cut.aiff", "cut.flac"):
        path = tmp_path / name
        soundfile.write(path, tone(300, 900, 500), RATE)
        path.write_bytes(path.read_bytes()[:-2000])
        cases[path] = "cut short|not a sound"
    for path, reason in cases.items():
        with pytest.raises(ItemError, match=reason) as caught:
            LogMel().encode([word, path])
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_threads_stay_as_they_were() -> None:
    threads = torch.get_num_threads()
    assert LogMel().encode([(tone(300, 900, rate=22_050), 22_050)] * 40).shape[0] == 40
    with pytest.raises(ItemError):
        LogMel().encode([(np.zeros(9), RATE)])
    assert torch.get_num_threads() == threads


def test_sounds_are_read_ahead_in_threads(word: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, readers, read, own = LogMel(), set(), LogMel.prepare, threading.get_ident()

    def prepare(self: LogMel, item: Any) -> Any:
        readers.add(threading.get_ident())
        assert torch.get_num_threads() == 1 or threading.get_ident() == own
        return read(self, item)

    monkeypatch.setattr(LogMel, "prepare", prepare)
    items = [word, *((tone(200 + 10 * i), RATE) for i in range(20)), (np.zeros(400, np.float32), RATE)]
    parts = list(encode(encoder, items, workers=2))
    assert readers - {threading.get_ident()}, "all were read by the thread that computes"
    assert [str(error) for part in parts for error in part.failed.values()] == ["<array 400 float32, 16000>: is silent"]
    found = {row: part.x["features"][i] for part in parts for i, row in enumerate(part.rows)}
    alone = torch.cat([encoder.trunk([item])["features"] for item in items[:-1]])
    assert torch.equal(torch.stack([found[i] for i in range(len(items) - 1)]), alone)
