"""The audio encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import UsageError, fingerprint_of
from xm.learning import Inputs
from xm.media.sounds import SILENCE, SUFFIXES, VIEWS, loud_windows, read_sound
from xm_audioclip.encoder import AudioClip
from xm_audioclip.reference import AMPLITUDES

RATE = 44_100
LENGTH = 220_500
"""A window, in samples: 5 s."""
RUN = 8
"""Windows computed at once: bounds memory for long recordings."""
_TOGETHER = 100
"""About as many sounds to a batch with batch statistics: the fewer batches, the fewer groups that are not full."""

SETTINGS = (
    f"channel mean, torchaudio resample {RATE}, windows of {LENGTH} without those below {SILENCE}, "
    "mean of unit vectors by the sound's share"
)
"""Preprocessing in words, for the fingerprint."""

Prepared = tuple[Tensor, Tensor]
"""Windows (k, `LENGTH`) of a sound, and what part of it each holds (k,), sum 1."""


class AudioEncoder(AudioClip):
    """Sounds by AudioCLIP's audio head: the mean of the unit vectors of windows of 5 s.

    With ``batch_statistics=N`` every N windows, in the order given, are normalised by their common statistics, so a
    row depends on the items around it, and nothing is kept on disk.
    """

    modality = "audio"
    suffixes = SUFFIXES
    views = VIEWS
    batch_size = RUN

    def __init__(self, argument: str = "") -> None:
        super().__init__(argument)
        self._group = self._reference.batch_statistics
        if self._group:
            self.batch_size, self.cached = max(1, _TOGETHER // self._group) * self._group, False

    def fingerprint(self) -> str:
        """Of weights, preprocessing, length policy and what normalises."""
        mode = f"statistics of {self._group} windows in order" if self._group else "statistics of training"
        how = (self._reference.amplitude, self._reference.length.name, mode)
        return fingerprint_of("xm_audioclip 1", "audio", self._checkpoint.digest, SETTINGS, *how)

    def prepare(self, item: Any) -> Prepared:
        """Windows that are not silent.

        Raises:
            ItemError: for a sound that can't be read, or is silent.
        """
        return loud_windows(read_sound(item, RATE), LENGTH, self._reference.length, item)

    def compute(self, prepared: Sequence[Prepared]) -> Inputs:
        """``features`` (n, dim).

        Raises:
            UsageError: if batch statistics are asked for, of a single window.
        """
        from xm_audioclip.network import load

        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        cut = torch.cat([part for part, _ in prepared])
        if self._group and len(cut) == 1:
            raise UsageError(
                f"audioclip with batch_statistics={self._group} can't encode a single window of 5 s: "
                "give one sound more or less, or leave ?batch_statistics out"
            )
        tower = load(self._checkpoint, bool(self._group), str(self.device))
        factor = AMPLITUDES[self._reference.amplitude]
        with torch.no_grad():
            found = [
                tower(cut[start:end].to(self.device) * factor) for start, end in runs(len(cut), self._group or RUN)
            ]
        vectors = normalize(torch.cat(found).float(), dim=-1).cpu()
        rows = torch.split(vectors, [len(part) for part, _ in prepared])
        means = [(weights[:, None] * part).sum(dim=0) for part, (_, weights) in zip(rows, prepared, strict=True)]
        return {"features": torch.stack(means)}


def runs(total: int, size: int) -> Iterator[tuple[int, int]]:
    """Where runs of `size` begin and end; a last one of a single window joins the run before it."""
    edges = list(range(0, total, size))
    if len(edges) > 1 and total - edges[-1] == 1:
        edges.pop()
    return pairwise([*edges, total])
