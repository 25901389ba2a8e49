"""Encoders side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from xm.learning import Inputs
from xm_plain.joined import Joined


class Concat(Joined):
    """Unit vectors of several encoders, one behind the other, at unit length together.

    Each part's vector is multiplied by its weight w, 1 if none is given, and the whole divided by √(Σ w²); so a cosine
    is the mean of the parts' cosines, weighed by w². Arguments and errors are those of `Joined`.
    """

    name: ClassVar[str] = "concat"
    example: ClassVar[str] = "concat:yamnet+logmel or concat:yamnet*2+logmel"

    def __init__(self, argument: str = "", modality: str | None = None) -> None:
        super().__init__(argument, modality)
        self.dim = sum(part.dim for part in self.parts)
        shown = (part.space + ("" if w == 1 else f"*{w:g}") for part, w in zip(self.parts, self.weights, strict=True))
        self.space = f"concat-{'+'.join(shown)}"

    def compute(self, prepared: Sequence[tuple[Any, ...]]) -> Inputs:
        """``features`` (n, dim), at unit length already."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        whole = math.hypot(*self.weights)
        rows = [vectors * (w / whole) for (vectors, _), w in zip(self.rows(prepared), self.weights, strict=True)]
        return {"features": torch.cat(rows, dim=1)}
