"""Encoders side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from xm import Encoder, Preparing, UsageError, fingerprint_of
from xm.data import VIEWS
from xm.encoders import compute, known_views, make_encoder, prepare
from xm.learning import Inputs
from xm.plugins import manager

_EXAMPLE = "concat:yamnet+logmel or concat:yamnet*2+logmel"
_WEIGHT = re.compile(r"(.+)\*([0-9.]+)")


class Concat(Preparing):
    """Unit vectors of several encoders, one behind the other, at unit length together.

    Each part's vector is multiplied by its weight w, 1 if none is given, and the whole divided by √(Σ w²); so a cosine
    is the mean of the parts' cosines, weighed by w². An item is left out if one part can't read it.

    Args:
        argument: ``ENCODER[*WEIGHT]+ENCODER[*WEIGHT]…``, each as it is named alone.

    Raises:
        UsageError: for fewer than two parts, one named twice, a weight that is no number above 0, an unknown
            encoder, or encoders of different modalities.
    """

    def __init__(self, argument: str = "") -> None:
        named = [_weighed(part, argument) for part in argument.split("+")]
        references = [reference for reference, _ in named]
        if len(named) < 2 or len(set(references)) < len(references):
            raise UsageError(f"concat:{argument}: name two different encoders or more, as in {_EXAMPLE}")
        self.parts = [make_encoder(reference, manager(), self.device) for reference in references]
        self.weights = [weight for _, weight in named]
        self.modality = self.parts[0].modality
        for reference, part in zip(references, self.parts, strict=True):
            if part.modality != self.modality:
                raise UsageError(
                    f"concat:{argument}: {references[0]} is for {self.modality}, {reference} for {part.modality}; "
                    "join encoders of one modality"
                )
        self.suffixes = tuple(s for s in self.parts[0].suffixes if all(s in part.suffixes for part in self.parts))
        known = [known_views(part) for part in self.parts]
        alike = all(part.views == VIEWS for part in self.parts)
        self.views = VIEWS if alike else tuple(v for v in known[0] if all(v in other for other in known))
        self.accepts_names = all(part.accepts_names for part in self.parts)
        self.batch_size = min(part.batch_size for part in self.parts)
        self.sized = any(isinstance(part, Preparing) and part.sized for part in self.parts)
        self.cached = any(part.cached for part in self.parts)
        self.dim = sum(part.dim for part in self.parts)
        shown = (part.space + ("" if w == 1 else f"*{w:g}") for part, w in zip(self.parts, self.weights, strict=True))
        self.space = f"concat-{'+'.join(shown)}"

    def fingerprint(self) -> str:
        return fingerprint_of("concat", *(part.fingerprint() for part in self.parts), *self.weights)

    def prepare(self, item: Any) -> tuple[Any, ...]:
        """The item as each part prepares it."""
        return tuple(prepare(part, item) for part in self.parts)

    def compute(self, prepared: Sequence[tuple[Any, ...]]) -> Inputs:
        """``features`` (n, dim), at unit length already."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        whole = math.hypot(*self.weights)
        rows = [
            _unit(part, list(own)).to(self.device) * (weight / whole)
            for part, weight, own in zip(self.parts, self.weights, zip(*prepared, strict=True), strict=True)
        ]
        return {"features": torch.cat(rows, dim=1)}

    def size(self, prepared: tuple[Any, ...]) -> int:
        """The sum of those of the parts that are sized."""
        pairs = zip(self.parts, prepared, strict=True)
        return sum(part.size(own) for part, own in pairs if isinstance(part, Preparing) and part.sized)

    def networks(self) -> tuple[nn.Module, ...]:
        return tuple(network for part in self.parts for network in part.networks())

    def to(self, device: torch.device | str) -> Self:
        for part in self.parts:
            part.to(device)
        return super().to(device)


def _unit(part: Encoder, prepared: Sequence[Any]) -> Tensor:
    """Unit vectors (n, part.dim); not of inference mode, so that what is trained on them may keep them."""
    tail = part.split(0)[1]
    with torch.no_grad():
        vectors: Tensor = tail(compute(part, prepared))
    return vectors


def _weighed(part: str, argument: str) -> tuple[str, float]:
    """A part's reference and weight."""
    match = _WEIGHT.fullmatch(part.strip())
    reference, weight = (match[1], match[2]) if match else (part.strip(), "1")
    try:
        number = float(weight)
    except ValueError:
        number = 0.0
    if not reference or "*" in reference or not 0 < number < math.inf:
        raise UsageError(
            f"concat:{argument}: {part!r} is no encoder, nor encoder*weight with a number above 0; type {_EXAMPLE}"
        )
    return reference, number
