"""What `concat` and `mean` share: several encoders of one modality as one."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from xm import Preparing, UsageError, fingerprint_of
from xm.data import VIEWS
from xm.encoders import compute, known_views, make_encoder, prepare
from xm.learning import Inputs
from xm.plugins import Weights, manager

_WEIGHT = re.compile(r"(.+)\*([0-9.]+)")


class Joined(Preparing):
    """Several encoders of one modality. A subclass sets `name`, `space` and `dim`, and writes `compute`.

    It reads the files that every part reads; an item is left out if one part can't read it.

    Args:
        argument: ``ENCODER[*WEIGHT]+ENCODER[*WEIGHT]…``, each as it is named alone; a weight is 1 if none is given.
        modality: for which the encoders are asked; None: whichever they are for.

    Attributes:
        name: before the colon.
        example: of the argument, for messages.
        references: of the parts.
        parts: the encoders.
        weights: of the parts, each above 0.

    Raises:
        UsageError: for fewer than two parts, one named twice, a weight that is no number above 0, an unknown
            encoder, or encoders of different modalities.
    """

    name: ClassVar[str]
    example: ClassVar[str]

    def __init__(self, argument: str = "", modality: str | None = None) -> None:
        self.argument = argument
        named = [self._weighed(part) for part in argument.split("+")]
        self.references = [reference for reference, _ in named]
        if len(named) < 2 or len(set(self.references)) < len(named):
            raise self.error(f"name two different encoders or more, as in {self.example}")
        self.parts = [make_encoder(reference, manager(), self.device, modality) for reference in self.references]
        self.weights = [weight for _, weight in named]
        self.modality = self.parts[0].modality
        for reference, part in zip(self.references, self.parts, strict=True):
            if part.modality != self.modality:
                raise self.error(
                    f"{self.references[0]} is for {self.modality}, {reference} for {part.modality}; "
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

    def error(self, said: str) -> UsageError:
        """Of what was typed."""
        return UsageError(f"{self.name}:{self.argument}: {said}")

    def fingerprint(self) -> str:
        return fingerprint_of(self.name, *(part.fingerprint() for part in self.parts), *self.weights)

    def prepare(self, item: Any) -> tuple[Any, ...]:
        """The item as each part prepares it."""
        return tuple(prepare(part, item) for part in self.parts)

    def rows(self, prepared: Sequence[tuple[Any, ...]]) -> list[tuple[Tensor, Inputs]]:
        """Of each part its unit vectors (n, part.dim), and all that its trunk gives, on the encoder's device.

        Not of inference mode, so that what is trained on them may keep them.
        """
        found: list[tuple[Tensor, Inputs]] = []
        for part, own in zip(self.parts, zip(*prepared, strict=True), strict=True):
            tail = part.split(0)[1]
            with torch.no_grad():
                x = compute(part, list(own))
                vectors: Tensor = tail(x)
            found.append((vectors.to(self.device), {name: value.to(self.device) for name, value in x.items()}))
        return found

    def size(self, prepared: tuple[Any, ...]) -> int:
        """The sum of those of the parts that are sized."""
        pairs = zip(self.parts, prepared, strict=True)
        return sum(part.size(own) for part, own in pairs if isinstance(part, Preparing) and part.sized)

    def pretrained(self) -> tuple[Weights, ...]:
        """Those of all parts, each once."""
        return tuple(dict.fromkeys(weights for part in self.parts for weights in part.pretrained()))

    def networks(self) -> tuple[nn.Module, ...]:
        return tuple(network for part in self.parts for network in part.networks())

    def to(self, device: torch.device | str) -> Self:
        for part in self.parts:
            part.to(device)
        return super().to(device)

    def _weighed(self, part: str) -> tuple[str, float]:
        """A part's reference and weight."""
        match = _WEIGHT.fullmatch(part.strip())
        reference, weight = (match[1], match[2]) if match else (part.strip(), "1")
        try:
            number = float(weight)
        except ValueError:
            number = 0.0
        if not reference or "*" in reference or not 0 < number < math.inf:
            raise self.error(f"{part!r} is no encoder, nor encoder*weight with a number above 0; type {self.example}")
        return reference, number
