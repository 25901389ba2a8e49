"""Videos from files and arrays: frames by number or by time, and the sound track. Decoded by PyAV."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xm.data.content import item_name
from xm.data.member import File
from xm.data.types import View
from xm.data.views import VIEWS as VIEWS, seen
from xm.foundation.errors import ItemError
from xm.media._audio import read_audio
from xm.media._libav import Times, opened, pixels, read_times, video_stream
from xm.media.suffixes import VIDEOS

SUFFIXES = VIDEOS
"""Of the files that are read as videos."""

NANOSECOND = Fraction(1, 1_000_000_000)
"""A frame is shown from this much earlier on, so that 1.4 of floats is not before its time, 7/5."""

Image: TypeAlias = NDArray[np.uint8]
"""(h, w, 3), RGB."""


@dataclass(frozen=True)
class Video:
    """What a video holds, before its frames are decoded.

    Attributes:
        path: of the file, or a member of a tar; "" for an array.
        height: of a frame as shown, in pixels.
        width: likewise.
        rotation: degrees clockwise by which stored frames are turned to be shown.
        sound: whether there is a sound track.
        times: when each frame is shown.
    """

    path: str | File
    height: int
    width: int
    rotation: int
    sound: bool
    times: Times

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.times.pts)

    @property
    def length(self) -> Fraction:
        """Seconds from the start of the first frame to the end of the last."""
        return (self.times.end - self.times.pts[0]) * self.times.tick

    @property
    def duration(self) -> float:
        """`length`, rounded."""
        return float(self.length)

    @property
    def rate(self) -> float:
        """Frames a second, on average."""
        return float(self.frames / self.length)

    def shown_at(self, seconds: float | Fraction) -> int:
        """The number of the frame shown that long after the start; the first before it, the last after the end."""
        ticks = self.times.pts[0] + (Fraction(seconds) + NANOSECOND) / self.times.tick
        return max(0, bisect_right(self.times.pts, ticks) - 1)


Sampling: TypeAlias = Callable[[Video], Sequence[int]]
"""Chooses frames, by number."""


def sample_uniform(video: Video, n: int) -> list[int]:
    """The frames shown in the middle of `n` equal parts of the time (the segments of TSN, Wang et al., ECCV 2016).

    A video of fewer frames gives some several times.
    """
    return [video.shown_at(Fraction(2 * i + 1, 2 * n) * video.length) for i in range(n)]


def sample_dense(video: Video, n: int, stride: int) -> list[int]:
    """Every `stride`-th frame, `n` of them, from the middle of the video; beyond an end, its last frame again."""
    first = (video.frames - 1 - (n - 1) * stride) // 2
    return [min(max(first + i * stride, 0), video.frames - 1) for i in range(n)]


def read_clip(item: Any, sampling: Sampling) -> list[Image]:
    """The sampled frames of a video, upright, each (h, w, 3) RGB.

    Args:
        item: a path, a member of a tar, a uint8 array (frames, h, w, 3), or a view of one.
        sampling: which frames.

    Raises:
        ItemError: if it is none of these, or can't be decoded.
    """
    if isinstance(item, View):
        found: list[Image] = seen("video", read_clip(item.item, sampling), item)
        return found
    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 4 or item.shape[3] != 3 or not item.size:
            raise ItemError(item_name(item), "expected uint8 of shape (frames, h, w, 3)")
        count, height, width, _ = item.shape
        times = Times(Fraction(1), tuple(range(count)), count, (), False)
        return [item[i] for i in sampling(Video("", height, width, 0, False, times))]
    if not isinstance(item, str | File):
        raise ItemError(item_name(item), "is no video; give a path or a uint8 array (frames, h, w, 3)")
    video = probe(item)
    return read_frames(video, sampling(video))


def flip(frames: Sequence[Image], view: View) -> list[Image]:
    """The view "flip": each frame's mirror image."""
    return [np.ascontiguousarray(frame[:, ::-1]) for frame in frames]


def probe(path: str | File) -> Video:
    """What a file holds. All of it is read, and the first frame decoded.

    Raises:
        ItemError: if there is no such file, libav can't read it, it holds no frames, or is cut short.
        PluginError: if PyAV is not installed.
    """
    with opened(path) as container:
        times = read_times(container, video_stream(container, path), path)
    with opened(path) as container:
        first = next(container.decode(video_stream(container, path)), None)
        if first is None:
            raise _nothing(path)
        height, width, _ = pixels(first).shape
        return Video(path, height, width, -first.rotation % 360, len(container.streams.audio) > 0, times)


def read_frames(video: Video | str | File, indices: Sequence[int]) -> list[Image]:
    """Frames by number, upright, each (h, w, 3) RGB: those that decoding everything gives.

    Raises:
        ItemError: if the file can't be decoded up to them.
        IndexError: if there is no such frame.
    """
    known = video if isinstance(video, Video) else probe(video)
    wanted = sorted({known.times.pts[i] for i in indices})
    found = _sought(known, wanted) if known.times.timed else {}
    missing = [pts for pts in wanted if pts not in found]
    if missing:
        found |= _played(known, missing)
    return [found[known.times.pts[i]] for i in indices]


def read_frames_at(video: Video | str | File, seconds: Sequence[float]) -> list[Image]:
    """The frames shown at times, in seconds after the first frame's start; else as `read_frames`."""
    known = video if isinstance(video, Video) else probe(video)
    return read_frames(known, [known.shown_at(time) for time in seconds])


def read_track(path: str | File, rate: int | None = None) -> tuple[NDArray[np.float32], int]:
    """The first sound track as ``(samples, rate)``, which sound encoders take for an item.

    Args:
        path: of the video.
        rate: wanted, in Hz; resampled by `xm.media.sounds`, whose libraries it then needs. None: as stored.

    Returns:
        (n,) float32 within -1 to 1, the mean over channels (the loudest one where they cancel each other); and the
        rate in Hz.

    Raises:
        ItemError: if there is no track, it can't be decoded, or is cut short.
    """
    samples, own = read_audio(path, "video", "its sound track")
    if rate is None or rate == own:
        return samples, own
    from xm.media.sounds import read_sound

    try:
        return np.asarray(read_sound((samples, own), rate), np.float32), rate
    except ItemError as error:
        raise ItemError(str(path), error.reason) from error


def _nothing(path: str | File) -> ItemError:
    return ItemError(str(path), "holds no frames that can be decoded")


def _sought(video: Video, wanted: Sequence[int]) -> dict[int, Image]:
    """Those of the wanted frames (pts, ascending) that are met when seeking to the keyframe before each."""
    found: dict[int, Image] = {}
    keys = video.times.keys
    try:
        with opened(video.path) as container:
            stream = video_stream(container, video.path)
            frames, at = container.decode(stream), video.times.pts[0] - 1
            for pts in wanted:
                before = bisect_right(keys, pts) - 1
                if before > 0 and keys[before] > at:
                    container.seek(keys[before], stream=stream)
                    frames = container.decode(stream)
                while at < pts and (frame := next(frames, None)) is not None:
                    at = at if frame.pts is None else frame.pts
                    if at == pts and not frame.is_corrupt:
                        found[pts] = pixels(frame)
    except ItemError:
        pass  # playing from the start does without seeking, and says what is wrong if that fails too
    return found


def _played(video: Video, wanted: Sequence[int]) -> dict[int, Image]:
    """What is on the screen at the wanted times (pts, ascending) when playing from the start."""
    found: dict[int, Image] = {}
    waiting, shown = list(wanted), None
    with opened(video.path) as container:
        for number, frame in enumerate(container.decode(video_stream(container, video.path))):
            at = frame.pts if video.times.timed else number
            if at is None:
                continue
            while waiting and shown is not None and at > waiting[0]:
                found[waiting.pop(0)] = _whole(video, shown)
            if not waiting:
                return found
            shown = frame
        if shown is None:
            raise _nothing(video.path)
        return found | dict.fromkeys(waiting, _whole(video, shown))


def _whole(video: Video, frame: Any) -> Image:
    if frame.is_corrupt:
        raise ItemError(str(video.path), "is damaged: a frame of it is broken")
    return pixels(frame)
