"""Whether a container holds a sound or a video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from xm.media.streams import has_pictures, is_sound

av = pytest.importorskip("av")


def write(path: Path, sound: bool, picture: bool) -> Path:
    with av.open(str(path), "w") as out:
        streams = []
        if picture:
            video = out.add_stream("mpeg4", rate=10)
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
            streams.append((video, [av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8)) for _ in range(5)]))
        if sound:
            audio = out.add_stream("aac", rate=16_000)
            audio.layout = "mono"
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.rate = 16_000
            streams.append((audio, [frame]))
        for stream, frames in streams:
            for number, frame in enumerate(frames):
                frame.pts, frame.time_base = number, Fraction(1, 10 if stream.type == "video" else 16_000)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", (".mp4", ".mkv", ".mov"))
def test_it_looks_into_the_file(suffix: str, tmp_path: Path) -> None:
    for sound, picture in ((True, False), (False, True), (True, True)):
        path = write(tmp_path / f"{sound}{picture}{suffix}", sound, picture)
        assert (is_sound(path), has_pictures(path)) == (sound and not picture, picture)
        assert is_sound(str(path)) == is_sound(path)


def test_what_cannot_be_opened_is_neither(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    for path in (tmp_path / "a.mp4", tmp_path / "none.mp4"):
        assert not is_sound(path) and not has_pictures(path)


def test_a_cover_is_no_picture(tmp_path: Path) -> None:
    soundfile, image = pytest.importorskip("soundfile"), pytest.importorskip("PIL.Image")
    path, cover = tmp_path / "a.flac", tmp_path / "cover.png"
    soundfile.write(path, np.zeros(1600), 16_000)
    image.new("RGB", (8, 8)).save(cover)
    data, picture = path.read_bytes(), cover.read_bytes()
    head = b"\0\0\0\x03" + (9).to_bytes(4, "big") + b"image/png" + bytes(4)
    block = head + b"".join(n.to_bytes(4, "big") for n in (8, 8, 24, 0, len(picture))) + picture
    path.write_bytes(data[:42] + b"\x06" + len(block).to_bytes(3, "big") + block + data[42:])
    with av.open(str(path)) as found:
        assert len(found.streams.video) == 1
    assert is_sound(path) and not has_pictures(path)
