"""The trained time-frequency transform: complex frequency B-spline wavelets.

Guzhov et al., *ESResNe(X)t-fbsp*, IJCNN 2021: psi(t) = sqrt(fb) sinc(fb t / m)^m exp(-i fc t), for t from -pi to pi.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

_EPSILON = 1e-8
_FLOOR = 1e-18
"""Stands for a power of exactly 0; smaller powers above 0 stay as they are."""
BANDS = 3
"""Low, middle and high frequencies: the three channels of the network's input."""


class Wavelets(nn.Module):
    """One wavelet for each of `bins` frequencies.

    Attributes:
        m: order of the B-spline; 0 makes the transform Fourier's.
        fb: bandwidth.
        fc: centre frequency, in cycles over the transform's length.
        bias: empty; the published checkpoints have it.
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(bins))
        self.fb = nn.Parameter(torch.ones(bins))
        self.fc = nn.Parameter(torch.arange(bins, dtype=torch.float32))
        self.bias = nn.Parameter(torch.empty(0))

    def kernel(self) -> Tensor:
        """Complex weights (bins, 2 bins - 2), by the transform's length in samples."""
        m, fb, fc = self.m[:, None], self.fb[:, None], self.fc[:, None]
        length = 2 * len(self.fc) - 2
        t = math.pi * torch.linspace(-1, 1, length, device=m.device) + _EPSILON
        x = fb * t / (m + _EPSILON)
        sinc = torch.where(x == 0, 1.0, x.sin() / x)
        spline = torch.polar(sinc.abs() ** m, m * math.pi * (sinc < 0))  # a real power of what may be negative
        carrier = torch.complex((fc * t).cos(), -(fc * t).sin())
        return fb.sqrt() * spline * carrier / math.sqrt(length)


def log_power(samples: Tensor, window: Tensor, kernel: Tensor, hop: int) -> Tensor:
    """Power spectrogram of one sound in dB, cut into `BANDS` along frequency.

    Args:
        samples: (n,).
        window: (w,); frames are as long.
        kernel: (bins, length), complex; frames lie in its middle.
        hop: between frames, in samples.

    Returns:
        (BANDS, bins // BANDS, frames). Zeros on both sides fill the last frame; bins over are left out.
    """
    width, (bins, length) = len(window), kernel.shape
    frames = 1 + max(0, math.ceil((len(samples) - width) / hop))
    missing = max(0, (frames - 1) * hop + width - len(samples))
    padded = pad(samples, (missing // 2, missing - missing // 2))
    first = (length - width) // 2
    inner = kernel[:, first : first + width]
    spectrum = (padded.unfold(0, width, hop) * window) @ torch.cat([inner.real, inner.imag]).T
    power = spectrum[:, :bins].square() + spectrum[:, bins:].square()
    decibels = 10 * torch.where(power > 0, power, _FLOOR).log10()
    height = bins // BANDS
    return decibels.T[: BANDS * height].reshape(BANDS, height, frames)
