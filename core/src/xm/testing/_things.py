"""Things, which encoders of several modalities see: for aligners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm.alignment.aligner import AlignContext, Pairs
from xm.encoders.encoder import Encoder, Prototypes
from xm.learning.stream import Inputs, Stream
from xm.testing._space import NAMES, SALT, TARGET, turned

THINGS = 160
KNOWN = 120
"""Things below are classes of the encoders' own classifiers and in pairs; those above are held out."""
GROUPS = 12
"""Classes of things that are near each other, where an aligner learns from classes."""


@dataclass(eq=False)
class ThingEncoder(Encoder):
    """Encodes things. A thing is a number, or its name ("thing 7"); all encoders see one hidden vector of it.

    Attributes:
        classifies: whether it has a classifier of its own, over the known things.
    """

    modality: str
    dim: int
    accepts_names: bool = False
    classifies: bool = True

    def __post_init__(self) -> None:
        self.space = f"space of {self.modality}"

    def fingerprint(self) -> str:
        return f"{self.modality} {self.dim} {self.classifies}"

    def trunk(self, items: Sequence[Any]) -> Inputs:
        rows = torch.tensor([int(str(item).removeprefix("thing ")) for item in items], dtype=torch.long)
        generator = torch.Generator().manual_seed(SALT[self.modality])
        noise = 0.02 * torch.randn(THINGS, self.dim, generator=generator)
        features = (_hidden() @ turned(self.modality, self.dim)[: _hidden().shape[1]] + noise)[rows]
        if not self.classifies:
            return {"features": features}
        return {"features": features, "scores": (20 * features @ self._rows().T).softmax(dim=1)}

    def prototypes(self) -> Prototypes | None:
        return Prototypes(tuple(f"thing {i}" for i in range(KNOWN)), self._rows()) if self.classifies else None

    def _rows(self) -> Tensor:
        return _hidden()[:KNOWN] @ turned(self.modality, self.dim)[: _hidden().shape[1]]


def align_context(source: str, *, complete: bool = True, grouped: bool = False) -> AlignContext:
    """The way from "heard" or "named" to "seen".

    Args:
        complete: with pairs, names and classifiers; else with nothing that an aligner could learn from.
        grouped: the pairs are of `GROUPS` classes, and the target's side of them is labelled.
    """
    target = ThingEncoder(TARGET, 12, classifies=complete)
    namer = ThingEncoder(NAMES, 24, accepts_names=True, classifies=False)
    leaving = namer if source == NAMES else ThingEncoder(source, 14, classifies=complete)
    known = range(KNOWN)
    pairs = Pairs(leaving.trunk(known), target.trunk(known), _group() if grouped else None)
    labelled = Stream(TARGET, pairs.target, pairs.group) if grouped else None
    return AlignContext(
        source=leaving,
        target=target,
        namer=namer if complete else None,
        pairs=pairs if complete else None,
        features=lambda encoder, items: encoder.trunk(items),
        labelled=labelled if complete else None,
    )


def _group() -> Tensor:
    """Of each known thing, which of the first `GROUPS` things is nearest to it."""
    return (_hidden()[:KNOWN] @ _hidden()[:GROUPS].T).argmax(dim=1)


def _hidden() -> Tensor:
    """A unit vector for each thing, (THINGS, 6)."""
    return normalize(torch.randn(THINGS, 6, generator=torch.Generator().manual_seed(0)), dim=1)
