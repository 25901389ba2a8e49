"""Short sounds as log-mel pictures of fixed size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, pad
from torchaudio.transforms import MelSpectrogram  # type: ignore[import-untyped]

from xm import ItemError, Preparing, UsageError, fingerprint_of
from xm.foundation import threads
from xm.learning import Inputs
from xm.media.lengths import parse_length, shares, split_length, windows
from xm.media.sounds import SILENCE, SUFFIXES, VIEWS, read_sound, sound_name

RATE = 16_000
WINDOW, HOP, FFT = 400, 160, 512  # samples: 25 ms, 10 ms
LOWEST = 50.0  # Hz
TRIM = 30.0
"""dB below the loudest window under which the ends are cut off."""
FLOOR = 40.0
"""dB below the loudest cell under which differences don't count."""
MAX_BINS, MAX_FRAMES = 64, 256
SPAN = 2 * RATE
"""Samples to a picture where a length policy is named."""


class LogMel(Preparing):
    """Log-mel spectrogram of a word, cut to where it sounds and resized to a fixed number of frames.

    Length policy: quiet ends are cut off, and the rest, however long, is averaged into `frames` equal parts
    of time; so the pace doesn't count, and sounds of more than a few seconds blur. With a policy of
    `xm.media.lengths` named, it is windows of 2 s that are averaged so, and then their pictures. Values are in dB,
    less their mean over the whole picture, so that loudness doesn't count.

    Items are paths or (waveform (n,), sample rate).

    Args:
        argument: bins and frames, "40x16"; "" means 40x16. Then, if wanted, "?length=POLICY".

    Raises:
        UsageError: if the argument is not of that form, or out of range.
    """

    modality = "audio"
    suffixes = SUFFIXES
    views = VIEWS
    batch_size = 256

    def __init__(self, argument: str = "") -> None:
        shape, words = split_length(argument)
        match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", shape or "40x16")
        self.bins, self.frames = (int(match[1]), int(match[2])) if match else (0, 0)
        if not (2 <= self.bins <= MAX_BINS and 1 <= self.frames <= MAX_FRAMES):
            raise UsageError(
                f"logmel:{argument}: expected bins x frames, as in logmel:40x16, from 2x1 to {MAX_BINS}x{MAX_FRAMES}"
            )
        self.policy = parse_length(words) if words else None
        self.dim = self.bins * self.frames
        self.space = f"logmel-{self.bins}x{self.frames}"

    def fingerprint(self) -> str:
        return fingerprint_of(
            "logmel",
            1,
            RATE,
            WINDOW,
            HOP,
            FFT,
            LOWEST,
            TRIM,
            FLOOR,
            self.bins,
            self.frames,
            "trim, then resize time",
            *((SPAN, self.policy.name) if self.policy else ()),
        )

    def prepare(self, item: Any) -> Tensor:
        """The picture (bins * frames,): dB around 0, bin by bin."""
        with threads(1):  # a word is too little to share
            return self._features(item)

    def compute(self, prepared: Sequence[Tensor]) -> Inputs:
        """``features`` (n, bins * frames)."""
        return {"features": torch.stack(list(prepared)).to(self.device)}

    def _features(self, item: Any) -> Tensor:
        sound = trim(_waveform(item))
        if self.policy is None:
            picture = self._picture(sound)
        else:
            pictures = torch.stack([self._picture(part) for part in windows(sound, SPAN, self.policy)])
            picture = shares(len(sound), SPAN, self.policy) @ pictures
        if float(picture.abs().max()) == 0:
            raise ItemError(sound_name(item), "has no spectrum to tell it by")
        return picture

    def _picture(self, sound: Tensor) -> Tensor:
        """(bins * frames,) of a sound (samples,)."""
        power = _mel(self.bins)(sound)
        decibels = 10 * torch.log10(power.clamp_min(1e-10))
        decibels = decibels.clamp_min(float(decibels.max()) - FLOOR)
        picture = adaptive_avg_pool1d(decibels[None], self.frames)[0]
        return (picture - picture.mean()).flatten()


def _waveform(item: Any) -> Tensor:
    """(samples,) without their constant offset; silence is refused."""
    wave = read_sound(item, RATE)
    wave = wave - wave.mean()
    if float(wave.abs().max()) < SILENCE:
        raise ItemError(sound_name(item), "is silent")
    return wave


def trim(wave: Tensor) -> Tensor:
    """(samples,) without the ends more than `TRIM` dB below the loudest window; one window at least."""
    wave = pad(wave, (0, max(0, WINDOW - len(wave))))
    energy = wave.unfold(0, WINDOW, HOP).square().mean(dim=1)
    loud = torch.nonzero(energy >= energy.max() * 10 ** (-TRIM / 10)).flatten()
    return wave[int(loud[0]) * HOP : int(loud[-1]) * HOP + WINDOW]


@cache
def _mel(bins: int) -> MelSpectrogram:
    return MelSpectrogram(RATE, n_fft=FFT, win_length=WINDOW, hop_length=HOP, f_min=LOWEST, n_mels=bins)
