"""Text as it sounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from xm import Encoder, ItemError, fingerprint_of
from xm.data import VIEWS
from xm.encoders import read_text
from xm.learning import Inputs
from xm.plugins import manager
from xm_digits import espeak
from xm_digits.voices import VARIANTS, voice


class Spoken(Encoder):
    """Text, said by the pool's voices and heard by the encoder `logmel`: the mean over voices, in its space.

    So a name is comparable with speech, and whatever maps speech somewhere maps names as well. Text is read
    the English way. Items are strings in words, and `Path`s of UTF-8 files.

    Raises:
        UsageError: if the encoder `logmel` is not installed.
    """

    modality = "text"
    suffixes = (".txt",)
    views = VIEWS
    accepts_names = True

    def __init__(self, argument: str = "") -> None:
        self._ear: Encoder = manager().encoders.find("logmel").load()("")
        self._voices = tuple(voice(variant) for variant in VARIANTS["pool"])
        self.space = self._ear.space
        self.dim = self._ear.dim
        self._known: dict[str, Tensor] = {}

    def fingerprint(self) -> str:
        return fingerprint_of("spoken", 1, repr(self._voices), espeak.library(), self._ear.fingerprint())

    def trunk(self, items: Sequence[Any]) -> Inputs:
        """``features`` (n, dim): the mean of logmel's features over the voices."""
        return {"features": torch.stack([self._features(item) for item in items]).to(self.device)}

    def _features(self, item: Any) -> Tensor:
        text = read_text(item)
        if text not in self._known:
            sounds = espeak.speak([(text, name) for name in self._voices])
            try:
                heard = self._ear.trunk([(sound, espeak.RATE) for sound in sounds])
            except ItemError as error:
                raise ItemError(item, "eSpeak NG finds nothing to say in it") from error
            self._known[text] = heard["features"].mean(dim=0)
        return self._known[text]
