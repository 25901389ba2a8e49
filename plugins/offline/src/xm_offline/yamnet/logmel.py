"""The patches of log-mel spectrogram that YAMNet was trained on.

Definition: tensorflow/models, research/audioset/yamnet (params.py, features.py).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xm.media.lengths import CHUNKS, fill
from xm.media.sounds import SILENCE

RATE = 16_000
WINDOW, HOP, FFT = 400, 160, 512
"""25 ms, 10 ms and the transform's length, in samples at 16 kHz."""
BANDS, LOW, HIGH = 64, 125.0, 7500.0
OFFSET = 0.001
"""Added to the mel magnitudes before the logarithm."""
FRAMES, PATCH_HOP = 96, 48
"""0.96 s and 0.48 s, in frames."""

PATCH = (FRAMES - 1) * HOP + WINDOW
"""A patch in samples."""
_STEP = PATCH_HOP * HOP

SETTINGS = (
    f"channel mean, torchaudio resample {RATE}, "
    f"hann {WINDOW}/{HOP}/{FFT}, magnitude, {BANDS} mel {LOW}-{HIGH}, log +{OFFSET}, "
    f"patches {FRAMES}/{PATCH_HOP}, zero-padded to whole patches, without those below {SILENCE}"
)
"""Preprocessing and the default length policy in words, for the fingerprint."""


def patches(samples: Tensor, shorter: str = CHUNKS.shorter) -> Tensor:
    """All patches (n, 96, 64) of a sound (samples,) at 16 kHz that are not silent; n is 0 if all are.

    A sound shorter than a patch, or than the next whole step, is filled up as `xm.media.lengths.fill` does.
    """
    return timed_patches(samples, shorter)[0]


def timed_patches(samples: Tensor, shorter: str = CHUNKS.shorter) -> tuple[Tensor, Tensor]:
    """As `patches`, and where the middle of each lies in the sound, filled up: (n,), 0..1."""
    steps = max(0, -(-(len(samples) - PATCH) // _STEP))
    padded = fill(samples, PATCH + steps * _STEP, shorter)
    loud = padded.abs().unfold(0, PATCH, _STEP).amax(dim=1) >= SILENCE
    window = torch.hann_window(WINDOW)  # periodic
    magnitude = torch.fft.rfft(padded.unfold(0, WINDOW, HOP) * window, FFT).abs()
    log_mel = torch.log(magnitude @ mel_matrix() + OFFSET)
    middles = (torch.arange(len(loud)) * _STEP + PATCH / 2) / len(padded)
    return log_mel.unfold(0, FRAMES, PATCH_HOP).transpose(1, 2)[loud], middles[loud]


@cache
def mel_matrix() -> Tensor:
    """(257, 64): triangles of height 1, linear on the HTK mel scale; the constant bin counts nowhere."""
    mel = _mel(np.linspace(0, RATE / 2, FFT // 2 + 1))[:, None]
    low, high = _mel(np.array([LOW, HIGH]))
    edges = np.linspace(low, high, BANDS + 2)
    rise = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    return torch.from_numpy(np.maximum(0, np.minimum(rise, fall)).astype(np.float32))


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    mel: NDArray[np.float64] = 1127 * np.log1p(hertz / 700)
    return mel
