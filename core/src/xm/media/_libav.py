"""libav through PyAV: opening files, reading packets of videos, and frames as arrays.

`xm.media.videos` and `xm.media.sounds` are what others use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xm.data.member import File, Member
from xm.foundation.errors import ItemError, PluginError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

UNTIMED = ("avi",)
"""Containers without presentation times: their frames are shown at a constant rate, in the decoder's order."""
SHORT, SHORT_SECONDS = Fraction(1, 20), Fraction(1, 2)
"""What may be missing of the promised length, the larger of the two: headers are often a little off."""
MISSING = "videos, and sounds such as MP3 and M4A, are read by PyAV, which is not installed"
READERS = {"video": "libav", "sound": "libsndfile or libav"}
"""Who was asked for what a file should be."""
MICROSECOND = Fraction(1, 1_000_000)
"""libav's unit of a file's times."""


@dataclass(frozen=True)
class Times:
    """When the frames of a stream are shown, as its packets say.

    Attributes:
        tick: the unit, in seconds.
        pts: of each frame, in ticks, ascending.
        end: of the last frame.
        keys: those of `pts` where decoding can start.
        timed: whether decoded frames carry these times; if not, they are counted.
    """

    tick: Fraction
    pts: tuple[int, ...]
    end: int
    keys: tuple[int, ...]
    timed: bool


@cache
def libav() -> ModuleType:
    """PyAV, with the messages of libav turned off: errors say what matters of them."""
    try:
        import av
    except ImportError:
        raise PluginError(f"{MISSING}; try: pip install av") from None
    av.logging.set_level(None)
    return av


@contextmanager
def opened(path: str | File, what: str = "video") -> Iterator[InputContainer]:
    """The open file; errors of libav, then and later, are ItemErrors. It opens no other file and no connection.

    Args:
        path: of the file.
        what: it should be, for messages.
    """
    av, name = libav(), str(path)
    try:
        source = _source(path)
        container = av.open(source, container_options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except av.FFmpegError as error:
        raise ItemError(name, f"is not a {what} that {READERS[what]} reads ({error.strerror})") from error
    with container:
        try:
            yield container
        except av.FFmpegError as error:
            raise ItemError(name, f"is damaged ({error.strerror})") from error


def _source(path: str | File) -> str | BytesIO:
    """What libav opens: a file's name with its protocol, so that no name is taken for one; or a member's bytes."""
    file = Path(path) if isinstance(path, str) else path
    if not file.is_file():
        raise ItemError(str(path), "no such file")
    try:
        size = file.size if isinstance(file, Member) else file.stat().st_size
        if size == 0:
            raise ItemError(str(path), "is empty: it holds no bytes")
        return file.open() if isinstance(file, Member) else f"file:{file}"
    except OSError as error:
        raise ItemError(str(path), f"can't be read: {error.strerror or error}") from error


def pictures(container: InputContainer) -> list[VideoStream]:
    """The streams of moving pictures: all of video that are no cover of a sound."""
    cover = libav().stream.Disposition.attached_pic
    return [stream for stream in container.streams.video if cover not in stream.disposition]


def video_stream(container: InputContainer, path: str | File) -> VideoStream:
    """The first one that is no cover of a sound.

    Raises:
        ItemError: if there is none, or nothing to decode it with.
    """
    for stream in pictures(container)[:1]:
        if stream.codec_context is None:
            raise ItemError(str(path), "is of a codec that libav has no decoder for")
        return stream
    raise ItemError(str(path), "holds sound alone, no video" if container.streams.audio else "holds no video")


def read_times(container: InputContainer, stream: VideoStream, path: str | File) -> Times:
    """When the frames are shown; reads the whole file and decodes nothing.

    Raises:
        ItemError: if there are no frames, or fewer than the header says.
    """
    pts: set[int] = set()
    keys: set[int] = set()
    ends: dict[int, int] = {}
    count, corrupt, told, reached = 0, False, True, Fraction(0)
    for packet in container.demux():
        after = None if packet.pts is None else packet.pts + (packet.duration or 0)
        if after is not None and packet.time_base:
            reached = max(reached, after * packet.time_base)
        if packet.stream.index != stream.index or not packet.size:
            continue
        count, corrupt, told = count + 1, bool(packet.is_corrupt), told and after is not None
        if packet.pts is not None and after is not None and not packet.is_discard:
            pts.add(packet.pts)
            ends[packet.pts] = after
            if packet.is_keyframe:
                keys.add(packet.pts)
    if not count:
        raise ItemError(str(path), "holds no frames")
    timed = told and bool(pts) and stream.time_base is not None and container.format.name not in UNTIMED
    promised = (container.duration or 0) * MICROSECOND
    start = min(container.start_time or 0, 0) * MICROSECOND
    missing = promised + start - reached if timed else Fraction(0)
    if corrupt or count < 0.99 * stream.frames - 1 or missing > max(SHORT * promised, SHORT_SECONDS):
        raise ItemError(str(path), "is cut short: it holds less than its header says")
    if not timed or stream.time_base is None:
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        return Times(1 / rate, tuple(range(count)), count, (), False)
    order = sorted(pts)
    end = ends[order[-1]] if ends[order[-1]] > order[-1] else order[-1] + _usual_step(order)
    return Times(stream.time_base, tuple(order), end, tuple(sorted(keys)), True)


def _usual_step(times: Sequence[int]) -> int:
    """The median time between frames, for files that don't say how long the last one is shown."""
    steps = sorted(after - before for before, after in pairwise(times))
    return steps[len(steps) // 2] if steps else 1


def pixels(frame: VideoFrame) -> NDArray[np.uint8]:
    """(h, w, 3) RGB, turned and mirrored as the display matrix says, if that is by right angles."""
    stored: Any = frame.to_ndarray(format="rgb24")
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return np.asarray(stored, np.uint8)
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()  # (x, y) is shown at (ax + cy, bx + dy)
    if (a or d) and (b or c):
        return np.asarray(stored, np.uint8)
    if b or c:
        a, d, stored = c, b, stored.transpose(1, 0, 2)
    return np.ascontiguousarray(stored[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
