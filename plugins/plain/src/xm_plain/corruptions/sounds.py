"""Views of sounds, by torchaudio. A sound is ``(samples, rate)``: (n,) within -1 to 1, and Hz."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor
from torchaudio import functional  # type: ignore[import-untyped]

from xm.data import View

Sound: TypeAlias = tuple[Tensor, int]

LOW, Q = 300.0, 0.707
"""The lower end of a telephone's band in Hz, and the quality of Butterworth filters."""


def noise(sound: Sound, view: View) -> Sound:
    """White noise at a signal-to-noise ratio, of another draw for each name and sound; silence stays silent."""
    samples, rate = sound
    if not bool(samples.any()):
        return sound
    generator = torch.Generator().manual_seed(view.draw(_content(samples)).getrandbits(63))
    white = torch.randn(len(samples), generator=generator)
    ratio = torch.tensor([_strength(view, 10)])
    return _clipped(functional.add_noise(samples[None], white[None], ratio)[0], rate)


def loudness(sound: Sound, view: View) -> Sound:
    """Louder or softer."""
    return _clipped(functional.gain(sound[0], _strength(view, -20)), sound[1])


def band(sound: Sound, view: View) -> Sound:
    """What is left between 300 Hz and the upper end, by filters of second order."""
    samples, rate = sound
    found = functional.highpass_biquad(samples, rate, LOW, Q) if rate > 2 * LOW else samples
    high = _strength(view, 3400)
    found = functional.lowpass_biquad(found, rate, high, Q) if 2 * high < rate else found
    return _clipped(found, rate)


def speed(sound: Sound, view: View) -> Sound:
    """Faster, as of a tape: resampled, and played at the rate of before (Ko et al., Interspeech 2015)."""
    samples, rate = sound
    found, _ = functional.speed(samples, rate, round(_strength(view, 1.1), 2))
    return _clipped(found, rate)


def shift(sound: Sound, view: View) -> Sound:
    """Moved in time, of another draw for each name and sound."""
    samples, rate = sound
    most = _strength(view, 0.1)
    return samples.roll(round(view.draw(_content(samples)).uniform(-most, most) * rate)), rate


def _strength(view: View, default: float) -> float:
    return float(view.params.get("strength", default))


def _content(samples: Tensor) -> bytes:
    """Something of the sound: its length and some of its samples, to 8 bits, so that decoders may differ a little."""
    some = samples[:: max(1, len(samples) // 64)]
    return len(samples).to_bytes(8, "little") + (some * 127).round().to(torch.int8).numpy().tobytes()


def _clipped(samples: Tensor, rate: int) -> Sound:
    return samples.clamp(-1, 1), rate
