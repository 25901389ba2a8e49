"""Google's speech embedding as an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from xm import Preparing, UsageError, fingerprint_of
from xm.foundation import spread
from xm.learning import Inputs
from xm.media.lengths import LengthPolicy, parse_length, split_length, windows
from xm.media.sounds import SILENCE, SUFFIXES, VIEWS, check_loud, read_sound
from xm.plugins import Weights
from xm_offline.speech import network, weights

SPAN = 24_000
"""What a shorter sound is filled up to, and a crop of a longer one: 1.5 s at 16 kHz, in samples."""

DEFAULT = LengthPolicy("chunks", "centre")

SETTINGS = (
    f"channel mean, torchaudio resample {network.RATE}, windows {network.WINDOW}/{network.STEP * network.HOP} "
    f"without those below {SILENCE}, mean and standard deviation over windows, span {SPAN}"
)
"""Preprocessing and pooling in words, for the fingerprint."""

Prepared = tuple[Tensor, Tensor]
"""Samples (n,), and of each window whether it is louder than `SILENCE` (windows,)."""


class Speech(Preparing):
    """Spoken words to 192-d features: mean and standard deviation over windows of 0.78 s, one every 80 ms.

    It computes on the CPU, whatever `to` says.

    Args:
        argument: ``length=POLICY``; "" means ``length=chunks-centre``.

    Raises:
        UsageError: if the argument is none of that form.
    """

    modality = "audio"
    suffixes = SUFFIXES
    views = VIEWS
    space = "speech"
    dim = 2 * network.DIM

    def __init__(self, argument: str = "") -> None:
        rest, words = split_length(argument)
        if rest:
            raise UsageError(f"encoder speech:{argument}: it takes no {rest!r}; type speech or speech:length=crop")
        self.policy = parse_length(words, DEFAULT) if words else DEFAULT

    @cached_property
    def _network(self) -> network.Network:
        return network.Network(weights.mel_file(), weights.embedding_file())

    def pretrained(self) -> tuple[Weights, ...]:
        return (weights.carried(),)

    def fingerprint(self) -> str:
        return fingerprint_of("speech", weights.mel_file(), weights.embedding_file(), SETTINGS, self.policy.name)

    def prepare(self, item: Any) -> Prepared:
        """A sound by the length policy, and which of its windows are not silent.

        Raises:
            ItemError: for a sound that can't be read, or is silent.
        """
        samples = self._spanned(read_sound(item, network.RATE))
        peaks = samples.abs().unfold(0, network.WINDOW, network.STEP * network.HOP).amax(dim=1)
        check_loud(float(peaks.max()), self.policy, item)
        return samples, peaks >= SILENCE

    def compute(self, prepared: Sequence[Prepared]) -> Inputs:
        """``features`` (n, 192), not normalised. Each of PyTorch's threads works on sounds of its own."""
        _ = self._network  # it loads here, not in several threads at once
        rows = spread(self._row, prepared)
        return {"features": torch.stack(rows) if rows else torch.zeros(0, self.dim)}

    def _row(self, prepared: Prepared) -> Tensor:
        samples, loud = prepared
        embeddings = torch.from_numpy(self._network(samples.numpy()))[loud]
        return torch.cat([embeddings.mean(dim=0), embeddings.std(dim=0, correction=0)])

    def _spanned(self, samples: Tensor) -> Tensor:
        """By the length policy. Chunks are the network's own overlapping windows, so a long sound stays whole."""
        if len(samples) > SPAN and self.policy.longer == "chunks":
            return samples
        return windows(samples, SPAN, self.policy)[0]
