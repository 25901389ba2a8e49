"""Waveforms from files and arrays: mono, 16 kHz."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]
import torch
from torch import Tensor
from torchaudio.transforms import Resample  # type: ignore[import-untyped]

from xm.errors import ItemError

RATE = 16_000
SILENCE = 1e-4
"""A peak below this (-80 dB of full scale) counts as silence."""
MAX_RATIO = 1000
"""Largest denominator of RATE / rate; beyond, the resampling filter takes gigabytes."""


def waveform(item: Any) -> Tensor:
    """A sound as (samples,) at 16 kHz, without its constant offset.

    Args:
        item: a path, or (waveform (n,), sample rate).

    Raises:
        ItemError: if it can't be read, is cut short, empty, silent, or its rate is odd.
    """
    name = describe(item)
    wave, rate = _from_file(name) if isinstance(item, str | Path) else _from_array(item, name)
    if len(wave) == 0:
        raise ItemError(name, "holds no sound")
    if not bool(torch.isfinite(wave).all()):
        raise ItemError(name, "holds samples that are not finite")
    if rate // math.gcd(rate, RATE) > MAX_RATIO:
        raise ItemError(name, f"has an odd sample rate of {rate} Hz; convert it to {RATE} Hz")
    wave = wave - wave.mean()
    wave = wave if rate == RATE else _resampler(rate)(wave)
    if float(wave.abs().max()) < SILENCE:
        raise ItemError(name, "is silent")
    return wave


def describe(item: Any) -> str:
    """The item in one line, for messages."""
    if isinstance(item, str | Path):
        return str(item)
    if isinstance(item, Sequence) and len(item) == 2:
        return f"waveform of shape {tuple(np.shape(item[0]))} at {item[1]} Hz"
    return f"a {type(item).__name__}"


def _from_array(item: Any, name: str) -> tuple[Tensor, int]:
    try:
        samples, rate = item
        wave, rate = torch.as_tensor(np.asarray(samples, dtype=np.float32)), int(rate)
    except (TypeError, ValueError) as error:
        raise ItemError(name, "expected a path or (waveform, sample rate)") from error
    if wave.ndim != 1 or rate <= 0:
        raise ItemError(name, "expected a waveform (n,) and a sample rate above 0")
    return wave, rate


def _from_file(path: str) -> tuple[Tensor, int]:
    if not Path(path).is_file():
        raise ItemError(path, "no such file")
    if Path(path).stat().st_size == 0:
        raise ItemError(path, "is empty")
    if _cut_short(path):
        raise ItemError(path, "is cut short: its header promises more than the file holds")
    try:
        with soundfile.SoundFile(path) as file:
            promised, rate = file.frames, int(file.samplerate)
            samples = file.read(dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:  # soundfile's errors are RuntimeErrors
        raise ItemError(path, f"is not a sound that can be read ({_reason(error)})") from error
    if len(samples) < promised:
        raise ItemError(path, f"is cut short: {len(samples)} of {promised} samples")
    return torch.from_numpy(samples.mean(axis=1)), rate


def _cut_short(path: str) -> bool:
    """Whether a RIFF or AIFF file is shorter than its header says, which libsndfile overlooks."""
    with Path(path).open("rb") as file:
        kind, size = file.read(4), file.read(4)
    if kind not in (b"RIFF", b"FORM"):
        return False
    length = int.from_bytes(size, "little" if kind == b"RIFF" else "big")
    unknown = length >= 0xFFFF_0000  # written to a pipe
    return not unknown and Path(path).stat().st_size < length + 8


def _reason(error: Exception) -> str:
    """The library's own reason, without the path that it repeats."""
    return str(error).rpartition(": ")[2].strip().rstrip(".")


@cache
def _resampler(rate: int) -> Resample:
    return Resample(rate, RATE)
