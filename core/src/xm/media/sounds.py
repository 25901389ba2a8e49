"""Sounds from files and arrays, as mono waveforms of a given rate."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import Resample  # type: ignore[import-untyped]

from xm.data.content import item_name
from xm.data.member import Member
from xm.data.types import View
from xm.data.views import VIEWS as VIEWS, seen
from xm.foundation.errors import ItemError
from xm.media._soundfiles import read_file
from xm.media.lengths import LengthPolicy, shares, windows
from xm.media.suffixes import SOUNDS

SUFFIXES = SOUNDS
"""Of the files that are read as sounds."""

SILENCE = 1e-4
"""A peak below this (-80 dB of full scale) counts as silence."""

LOUDEST = 16.0
"""A peak above this is no sound within -1 to 1: a hot master or a lossy codec goes a little beyond, integers far."""

_FILTER = 2**24
"""Most weights of a resampling filter (64 MB); only odd rates such as 44,101 Hz need more."""


def read_sound(item: Any, rate: int) -> Tensor:
    """One sound as (samples,), float32, at `rate`: the mean over its channels, resampled by torchaudio.

    Where channels cancel each other, as one that is turned over does another, the loudest is taken. Files are read by
    libsndfile, and what that can't read by libav, the sound tracks of videos included.

    Args:
        item: a path, a member of a tar, ``(samples, rate)``: floats (n,) within -1 to 1, and their rate in Hz, or a
            view of one, which is seen at the rate that the item has.
        rate: wanted, in Hz.

    Raises:
        ItemError: if it is neither, can't be decoded, is cut short, holds no samples, any that is not finite, or some
            far beyond -1 to 1.
        PluginError: if libav is needed, as for MP3, and PyAV is not installed.
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
        if isinstance(file, Path | Member):
            waveform, given = read_file(file, name)
            samples = torch.from_numpy(waveform)
        else:
            samples, given = _from_array(item, name)
    if not len(samples):
        raise ItemError(name, "is empty: it holds no samples")
    if not bool(torch.isfinite(samples).all()):
        raise ItemError(name, "holds samples that are not finite")
    peak = float(samples.abs().max())
    if peak > LOUDEST:
        how = "divide integers by 32768, say, before they are written as floats"
        raise ItemError(name, f"holds samples up to {peak:,.0f}, and floats lie within -1 to 1; {how}")
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


@cache
def _resampler(given: int, wanted: int) -> Resample:
    return Resample(given, wanted)
