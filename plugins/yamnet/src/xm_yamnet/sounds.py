"""Sounds from files and arrays, as 16 kHz mono waveforms."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]
import torch
import torchaudio.functional  # type: ignore[import-untyped]
from torch import Tensor

from xm.errors import ItemError

RATE = 16_000
SETTINGS = f"channel mean, torchaudio resample {RATE}"
"""The decoding in words, for the fingerprint."""

_CUT = re.compile(r"(?:data|SSND) : (\d+) \(should be (\d+)\)")
_UNKNOWN_LENGTH = 2**31 - 1
"""Writers to a pipe put this or more for the length in a header."""
_KERNEL = 2**26
"""Most weights of a resampling filter; only odd rates such as 44,101 Hz need more."""


def waveform(item: Any) -> Tensor:
    """One sound as (samples,), float32, at 16 kHz.

    Args:
        item: a path, or ``(samples, rate)``: a float array (n,) within −1 to 1, and its rate in Hz.

    Raises:
        ItemError: if it is neither, can't be decoded, is cut short or holds no samples.
    """
    if isinstance(item, str | Path):
        return _resample(*_from_file(item), item)
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], np.ndarray):
        return _resample(*_from_array(*item), f"sound {item[0].shape} at {item[1]} Hz")
    raise ItemError(f"{type(item).__name__} item", "not a sound; give a path or (samples, rate)")


def _from_file(path: str | Path) -> tuple[Tensor, int]:
    if not Path(path).is_file():
        raise ItemError(path, "no such file")
    try:
        with soundfile.SoundFile(path) as file:
            samples = file.read(dtype="float32", always_2d=True)
            frames, rate, log = file.frames, file.samplerate, file.extra_info
    except soundfile.LibsndfileError as error:
        raise ItemError(path, f"not a sound that libsndfile reads: {error.error_string}") from error
    cut = any(int(n) < _UNKNOWN_LENGTH and int(n) > int(real) for n, real in _CUT.findall(log))
    if cut or len(samples) < 0.99 * frames:
        raise ItemError(path, "cut short: it holds fewer samples than its header says")
    return torch.from_numpy(samples.mean(axis=1)), rate


def _from_array(samples: np.ndarray[Any, Any], rate: Any) -> tuple[Tensor, int]:
    said = f"sound {samples.shape} {samples.dtype} at {rate} Hz"
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise ItemError(said, "samples must be a float array (n,) within -1 to 1; mix channels, divide integers")
    if rate != int(rate) or rate <= 0:
        raise ItemError(said, "the rate must be a whole number of Hz above 0")
    return torch.from_numpy(samples.astype(np.float32)), int(rate)


def _resample(samples: Tensor, rate: int, item: Any) -> Tensor:
    if len(samples) == 0:
        raise ItemError(item, "is empty: it holds no samples")
    if not torch.isfinite(samples).all():
        raise ItemError(item, "holds samples that are not finite numbers")
    if rate * RATE / math.gcd(rate, RATE) ** 2 > _KERNEL:
        raise ItemError(item, f"its rate of {rate} Hz has no short ratio to {RATE} Hz; resample it first")
    resampled: Tensor = torchaudio.functional.resample(samples, rate, RATE)
    return resampled
