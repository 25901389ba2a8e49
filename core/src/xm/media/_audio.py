"""Sounds, and the tracks of videos, by libav."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xm.data.member import File
from xm.foundation.errors import ItemError
from xm.media._libav import MICROSECOND, SHORT, SHORT_SECONDS, opened, pictures
from xm.media._mono import mono
from xm.media._promises import Mpeg, promised_packets

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

ESTIMATED = ("aac", "mp3", "ac3", "eac3", "dts", "amr", "amrnb", "amrwb", "loas")
"""Containers without a length: what libav says of it is a guess by the first packets' rate."""
_ALONE, _ALONE_SECONDS = Fraction(1, 50), Fraction(1, 10)
"""What may be missing of the promised length of a sound alone, the larger of the two."""

Track = tuple[NDArray[np.float32], int]
"""Samples (n,), one channel, within -1 to 1; and their rate in Hz."""


def read_audio(path: str | File, what: str, track: str) -> Track:
    """The first sound track that libav decodes, whole.

    Args:
        path: of the file.
        what: it should be, for messages: "sound" or "video".
        track: what messages call that which holds the samples, "its sound track".

    Raises:
        ItemError: if there is none, it can't be decoded, changes its rate, or is cut short.
        PluginError: if PyAV is not installed.
    """
    parts: list[NDArray[Any]] = []
    rates: set[int] = set()
    with opened(path, what) as container:
        tracks = [stream for stream in container.streams.audio if stream.codec_context is not None]
        if not tracks:
            raise ItemError(str(path), "has no sound track that libav decodes")
        stream = tracks[0]
        corrupt, reached = False, Fraction(0)
        for packet in container.demux(stream):
            if packet.size:
                corrupt = bool(packet.is_corrupt)
                if packet.pts is not None and packet.time_base:
                    reached = max(reached, (packet.pts + (packet.duration or 0)) * packet.time_base)
            for frame in packet.decode():
                rates.add(frame.sample_rate)
                parts.append(_channels(frame))
        cut = corrupt or _is_short(container, stream, reached)
    if cut:
        raise ItemError(str(path), "is cut short: it holds less than its header says")
    if not any(part.size for part in parts):
        raise ItemError(str(path), f"{track} is empty")
    if len(rates) > 1:
        raise ItemError(str(path), f"{track} changes its rate ({', '.join(map(str, sorted(rates)))} Hz)")
    if len({len(part) for part in parts}) > 1:
        raise ItemError(str(path), f"{track} changes its number of channels")
    return mono(np.concatenate(parts, axis=1), axis=0), rates.pop()


def read_mpeg(path: str | File) -> Mpeg | None:
    """What an MPEG audio file, alone or in a WAV, holds, read without decoding; None if it is something else.

    Raises:
        ItemError: if it is nothing that libav knows.
        PluginError: if PyAV is not installed.
    """
    with opened(path, "sound") as container:
        if container.format.name not in ("mp3", "wav") or not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        if stream.codec_context is None or not stream.codec_context.name.startswith("mp"):
            return None
        count, ticks, end = 0, 0, 0
        for packet in container.demux(stream):
            if packet.size:
                end = end if count else (packet.pos or 0) + packet.size
                count, ticks = count + 1, ticks + (packet.duration or 0)
        seconds = ticks * (stream.time_base or Fraction(0))
        samples = round(seconds * (stream.rate or 0))
    return Mpeg(count, samples, None if isinstance(path, str) else promised_packets(path, end))


def _is_short(container: InputContainer, stream: AudioStream, reached: Fraction) -> bool:
    """Whether the last packet ends far before the length that the header tells."""
    alone = not pictures(container)
    tick = stream.time_base or Fraction(0)
    if container.format.name in ESTIMATED:
        return False
    if stream.duration:
        promised = ((stream.start_time or 0) + stream.duration) * tick
    else:
        promised = ((container.start_time or 0) + (container.duration or 0)) * MICROSECOND if alone else Fraction(0)
    share, seconds = (_ALONE, _ALONE_SECONDS) if alone else (SHORT, SHORT_SECONDS)
    return promised - reached > max(share * promised, seconds)


def _channels(frame: AudioFrame) -> NDArray[Any]:
    """(channels, samples) within -1 to 1, floats."""
    samples: Any = frame.to_ndarray()
    channels = samples if frame.format.is_planar else samples.reshape(-1, len(frame.layout.channels)).T
    if channels.dtype == np.uint8:
        channels = channels.astype(np.float32) / 128 - 1
    elif np.issubdtype(channels.dtype, np.integer):
        channels = channels / -float(np.iinfo(channels.dtype).min)
    return np.asarray(channels)
