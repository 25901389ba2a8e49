"""The encoders `track` and `track-audio`."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from xm import EncoderSpec, ItemError, UsageError
from xm.encoders import FeatureStore, encode, make_encoder
from xm.media.videos import read_track
from xm.plugins import manager
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


class TestTrackAhead(TestTrack):
    argument = "pitch-ahead"


class TestTrackAudioAhead(TestTrackAudio):
    argument = "pitch-ahead"


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


def test_what_is_a_video_is_told_by_content(items: list[Path], tmp_path: Path) -> None:
    """Whatever they are called: a video, and a container of a video with sound alone."""
    renamed = items[0].rename(tmp_path / "video.wav")
    alone = tmp_path / "alone.mp4"
    with av.open(str(renamed)) as given, av.open(str(alone), "w") as out:
        track = given.streams.audio[0]
        copied = out.add_stream_from_template(track)
        for packet in given.demux(track):
            if packet.dts is not None:
                packet.stream = copied
                out.mux(packet)
    x = TrackAudio("pitch").encode([renamed, alone, read_track(renamed)])
    torch.testing.assert_close(x, x[:1].expand(3, -1))
    torch.testing.assert_close(Track("pitch").encode([alone]), x[:1])


@pytest.mark.parametrize("below", ("pitch", "pitch-ahead"))
def test_it_opens_as_deep_as_the_sound_encoder(below: str, items: list[Path]) -> None:
    trunk, _ = Track(below).split(1)
    assert trunk(items)["bands"].shape == (3, 64)
    with pytest.raises(UsageError):
        Track(below).split(2)


@pytest.mark.parametrize("below", ("pitch", "pitch-ahead"))
@pytest.mark.parametrize("made", (Track, TrackAudio))
@pytest.mark.parametrize("depth", (0, 1))
def test_silence_is_told_by_the_name_of_the_file(
    depth: int, made: type[Track], below: str, items: list[Path], tmp_path: Path, toys: Any
) -> None:
    silent = toys.write(tmp_path / "silent.mp4", [toys.RED] * 10, tone=1e-9)
    with pytest.raises(ItemError) as caught:
        made(below).split(depth)[0]([*items, silent])
    assert str(caught.value) == f"{silent}: is silent"
    features = FeatureStore(None).features(made(below), [silent, *items], depth=depth)
    assert features.kept.tolist() == [1, 2, 3] and str(features.failed[0]) == f"{silent}: is silent"


def test_silence_of_an_array_is_told_by_what_it_is() -> None:
    for below in ("pitch", "pitch-ahead"):
        with pytest.raises(ItemError, match=r"^<array 8000 float32, 8000>: is silent$"):
            TrackAudio(below).encode([(np.zeros(8000, np.float32), 8000)])


def test_sounds_of_like_sizes_are_heard_together_if_the_sound_encoder_likes_it(items: list[Path]) -> None:
    assert not Track("pitch").sized
    track = Track("pitch-ahead")
    assert track.sized
    sizes = [track.size(track.prepare(item)) for item in items]
    assert sizes == sorted(set(sizes)), "of rising pitch"
    rows = [part.rows for part in encode(track, [items[2], items[0], items[2], items[0]])]
    assert rows == [[1, 3], [0, 2]]


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(ItemError, match=r"<array 3x4x4x3 uint8>: is no video; give a path"):
        Track("pitch").encode([np.zeros((3, 4, 4, 3), np.uint8)])


def test_wrong_encoders_are_one_line() -> None:
    with pytest.raises(UsageError, match="track-audio:hues: encoder 'hues' is for image, not audio"):
        TrackAudio("hues")
    assert make_encoder("track-audio:pitch", manager(), torch.device("cpu"), "audio").space == "pitch"
    with pytest.raises(UsageError, match="is for video, not audio"):
        make_encoder("track:pitch", manager(), torch.device("cpu"), "audio")


def test_weights_are_those_of_the_encoder_below(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, below in (("frames", "hues"), ("temporal", "hues"), ("track", "pitch"), ("track-audio", "pitch")):
        encoder = make_encoder(f"{name}:{below}", manager(), torch.device("cpu"))
        monkeypatch.setattr(f"frames_toys.{below.title()}.pretrained", lambda self: ("its weights",), raising=False)
        assert encoder.pretrained() == ("its weights",)
