"""Sounds from files and arrays, as mono waveforms of a given rate."""

from __future__ import annotations

import math
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor
from torchaudio.transforms import Resample  # type: ignore[import-untyped]

from xm.data.content import item_name
from xm.data.member import File, Member, opened
from xm.data.types import View
from xm.data.views import VIEWS as VIEWS, seen
from xm.foundation.errors import ItemError
from xm.media.lengths import LengthPolicy, shares, windows

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff")
"""Of the files that libsndfile reads and users have."""

SILENCE = 1e-4
"""A peak below this (-80 dB of full scale) counts as silence."""

_UNKNOWN_LENGTH = 0x7FFF_0000
"""Writers to a pipe put this or more for the length in a header."""
_CHUNK = re.compile(r"(?:data|SSND) : (\d+) \(should be (\d+)\)")
"""In libsndfile's log: a chunk that is longer than the rest of the file."""
_FILTER = 2**24
"""Most weights of a resampling filter (64 MB); only odd rates such as 44,101 Hz need more."""


def read_sound(item: Any, rate: int) -> Tensor:
    """One sound as (samples,), float32, at `rate`: the mean over its channels, resampled by torchaudio.

    Args:
        item: a path, a member of a tar, ``(samples, rate)``: floats (n,) within -1 to 1, and their rate in Hz, or a
            view of one, which is seen at the rate that the item has.
        rate: wanted, in Hz.

    Raises:
        ItemError: if it is neither, can't be decoded, is cut short, holds no samples or any that is not finite.
    """
    name = sound_name(item)
    samples, given = _decoded(item)
    if given * rate // math.gcd(given, rate) ** 2 > _FILTER:
        raise ItemError(name, f"its rate of {given} Hz has no short ratio to {rate} Hz; resample it first")
    resampled: Tensor = samples if given == rate else _resampler(given, rate)(samples)
    return resampled


def _decoded(item: Any) -> tuple[Tensor, int]:
    """Samples (n,), float32, and their rate."""
    name = sound_name(item)
    if isinstance(item, View):
        samples, given = seen("audio", _decoded(item.item), item)
    else:
        file = Path(item) if isinstance(item, str) else item
        samples, given = _from_file(file, name) if isinstance(file, Path | Member) else _from_array(item, name)
    if not len(samples):
        raise ItemError(name, "is empty: it holds no samples")
    if not bool(torch.isfinite(samples).all()):
        raise ItemError(name, "holds samples that are not finite")
    return samples, given


def sound_name(item: Any) -> str:
    """The item in one line, for messages: a path, or ``<array 16000 float32, 16000>``."""
    return item if isinstance(item, str) else item_name(item)


def loud_windows(samples: Tensor, length: int, policy: LengthPolicy, item: Any) -> tuple[Tensor, Tensor]:
    """The windows (k, length) of a sound (n,) that are not silent, and what part of it each holds: (k,), sum 1.

    Raises:
        ItemError: naming the item, if all are silent.
    """
    cut = windows(samples, length, policy)
    peaks = cut.abs().amax(dim=1)
    check_loud(float(peaks.max()), policy, item)
    loud = peaks >= SILENCE
    held = shares(len(samples), length, policy)[loud]
    return cut[loud], held / held.sum()


def check_loud(peak: float, policy: LengthPolicy, item: Any) -> None:
    """Refuse a sound whose peak, of what `policy` leaves of it, is below `SILENCE`.

    Raises:
        ItemError: naming the item.
    """
    if peak < SILENCE:
        where = " at its centre, which is cropped" if policy.longer == "crop" else ""
        raise ItemError(sound_name(item), f"is silent{where}: its peak of {peak:.1g} is under -80 dB")


def _from_array(item: Any, name: str) -> tuple[Tensor, int]:
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise ItemError(name, "is no sound; give a path or (samples, rate)")
    samples = np.asarray(item[0])
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise ItemError(name, "samples must be floats (n,) within -1 to 1; mix channels, divide integers")
    try:
        rate = int(item[1])
    except (TypeError, ValueError):
        rate = 0
    if rate != item[1] or rate <= 0:
        raise ItemError(name, "the sample rate must be a whole number of Hz above 0")
    return torch.from_numpy(samples.astype(np.float32)), rate


def _from_file(file: File, name: str) -> tuple[Tensor, int]:
    if not file.is_file():
        raise ItemError(name, "no such file")
    try:
        start, size = _start(file)
        if size == 0:
            raise ItemError(name, "is empty: it holds no bytes")
        with soundfile.SoundFile(opened(file)) as sound:
            samples = sound.read(dtype="float32", always_2d=True)
            promised, rate, log = sound.frames, int(sound.samplerate), sound.extra_info
    except OSError as error:
        raise ItemError(name, f"can't be read: {error.strerror or error}") from error
    except RuntimeError as error:  # soundfile's
        raise ItemError(name, f"is not a sound that libsndfile reads ({_reason(error)})") from error
    short = len(samples) < 0.99 * promised  # what an MP3 promises may be an estimate
    if short or _header_is_long(start, size) or _chunk_is_long(log):
        raise ItemError(name, "is cut short: it holds less than its header says")
    return torch.from_numpy(samples.mean(axis=1)), rate


def _start(file: File) -> tuple[bytes, int]:
    """The first 8 bytes, and how many there are."""
    with file.open("rb") as stream:
        return stream.read(8), stream.seek(0, os.SEEK_END)


def _header_is_long(start: bytes, size: int) -> bool:
    """Whether a RIFF or AIFF file is shorter than its header says, which libsndfile overlooks."""
    if start[:4] not in (b"RIFF", b"FORM"):
        return False
    length = int.from_bytes(start[4:], "little" if start[:4] == b"RIFF" else "big")
    return length < _UNKNOWN_LENGTH and size < length + 8


def _chunk_is_long(log: str) -> bool:
    return any(int(real) < int(said) < _UNKNOWN_LENGTH for said, real in _CHUNK.findall(log))


def _reason(error: Exception) -> str:
    """The library's own reason, without the path that it repeats."""
    return str(error).rpartition(": ")[2].strip().rstrip(".")


@cache
def _resampler(given: int, wanted: int) -> Resample:
    return Resample(given, wanted)
