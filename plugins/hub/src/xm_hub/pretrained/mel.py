"""The log-mel spectrogram that CLAP was trained on, for windows of the model's length.

Definition: transformers' ClapFeatureExtractor, whose settings and filters are used. What it does with sounds of another
length is random (its "rand_trunc" draws a crop, its "fusion" crops and a sound of the batch), so it never sees one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

FLOOR = 1e-10
"""Of the mel power, before the logarithm."""


def log_mel(windows: Tensor, extractor: Any) -> Tensor:
    """Windows (k, extractor.nb_max_samples) to dB (k, channels, frames, bins), float32.

    Channels are 1, or of a "fusion" extractor 4 equal ones, as for every sound that is not too long.
    """
    fused = extractor.truncation == "fusion"
    filters = torch.from_numpy(extractor.mel_filters if fused else extractor.mel_filters_slaney).double()
    size = extractor.fft_window_size
    spectrum = torch.stft(
        windows.double(),
        size,
        extractor.hop_length,
        window=torch.hann_window(size, dtype=torch.float64),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    power = torch.einsum("kft,fm->ktm", spectrum.real.square() + spectrum.imag.square(), filters)
    decibels = 10 * power.clamp_min(FLOOR).log10().float()
    return decibels[:, None].expand(-1, 4 if fused else 1, -1, -1)
