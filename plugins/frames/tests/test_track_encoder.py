"""The encoders `track` and `track-audio`."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xm.encoder import Encoder
from xm.encoders import make_encoder
from xm.errors import ItemError, UsageError
from xm.media.videos import read_track
from xm.plugins import manager
from xm.specs import EncoderSpec
from xm.testing import EncoderConformance
from xm_frames.track import Track, TrackAudio


@pytest.fixture
def items(tmp_path: Path, toys: Any) -> list[Path]:
    colours = [toys.RED] * 10
    return [toys.write(tmp_path / f"{tone}.mp4", colours, tone=tone) for tone in (300, 900, 2500)]


class TestTrack(EncoderConformance):
    argument = "pitch"

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("track")

    @pytest.fixture
    def items(self, items: list[Path]) -> Sequence[Any]:
        return items

    @pytest.fixture
    def bad_item(self, tmp_path: Path, toys: Any) -> Path:
        path: Path = toys.write(tmp_path / "mute.mp4", [toys.RED] * 5)
        return path


class TestTrackAudio(TestTrack):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("track-audio")


def test_it_hears_what_the_sound_encoder_hears(items: list[Path], toys: Any) -> None:
    track, sounds = Track("pitch"), toys.Pitch()
    assert (track.modality, track.space, track.dim) == ("video", "pitch", 64)
    torch.testing.assert_close(track.encode(items), sounds.encode([read_track(item) for item in items]))
    strongest = track.trunk(items)["features"].argmax(1).tolist()
    assert strongest == [int(tone / (toys.RATE / 4096) / 32) for tone in (300, 900, 2500)]


def test_a_sound_file_and_a_track_are_one_modality(items: list[Path], tmp_path: Path) -> None:
    """The same sound, alone and in a video, one batch."""
    samples, rate = read_track(items[1])
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype(np.int16).tobytes())
    encoder = TrackAudio("pitch")
    assert encoder.modality == "audio"
    out = encoder.encode([items[1], tmp_path / "a.wav", (samples, rate), str(items[1])])
    torch.testing.assert_close(out, out[:1].expand(4, -1), atol=1e-3, rtol=1e-3)


def test_it_opens_as_deep_as_the_sound_encoder(items: list[Path]) -> None:
    trunk, _ = Track("pitch").split(1)
    assert trunk(items)["bands"].shape == (3, 64)
    with pytest.raises(UsageError):
        Track("pitch").split(2)


@pytest.mark.parametrize("made", (Track, TrackAudio))
def test_silence_is_told_by_the_name_of_the_file(
    made: type[Encoder], items: list[Path], tmp_path: Path, toys: Any
) -> None:
    silent = toys.write(tmp_path / "silent.mp4", [toys.RED] * 10, tone=1e-9)
    with pytest.raises(ItemError) as caught:
        made("pitch").trunk([*items, silent])  # type: ignore[call-arg]
    assert str(caught.value) == f"{silent}: is silent"


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(ItemError, match=r"<array 3x4x4x3 uint8>: is no video; give a path"):
        Track("pitch").encode([np.zeros((3, 4, 4, 3), np.uint8)])


def test_wrong_encoders_are_one_line() -> None:
    with pytest.raises(UsageError, match="track-audio:hues: encoder 'hues' is for image, not audio"):
        TrackAudio("hues")
    assert make_encoder("track-audio:pitch", manager(), torch.device("cpu"), "audio").space == "pitch"
    with pytest.raises(UsageError, match="is for video, not audio"):
        make_encoder("track:pitch", manager(), torch.device("cpu"), "audio")
