"""Synthetic tasks: small, learnable, and the same in every process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm.aligner import AlignContext, Pairs
from xm.encoder import Encoder, Inputs, Prototypes, Tail
from xm.maps import Affine
from xm.model import Tower, Towers
from xm.strategy import Context
from xm.stream import Stream

CLASSES = ("ant", "bee", "cat", "dog", "eel")
DIM = 16
TARGET = "seen"
NAMES = "named"
AUXILIARY = (NAMES, "heard")
_SALT = {TARGET: 1, NAMES: 2, "heard": 3}


def towers() -> Towers:
    """Trunk outputs of "seen" are home already; those of the others are turned, and their towers turn them back."""
    maps: dict[str, nn.Module] = {TARGET: Tail()}
    for name in AUXILIARY:
        maps[name] = nn.Sequential(Tail(), Affine(_turn(name, DIM).T.contiguous(), torch.zeros(DIM)))
    return Towers({name: Tower(map) for name, map in maps.items()})


def trunk_outputs(modality: str, per_class: int, draw: int) -> Stream:
    """`per_class` samples a class: an orthogonal direction a class, an offset a modality, and noise.

    Args:
        draw: another number gives other samples of the same classes.
    """
    directions = _turn(TARGET, DIM)[: len(CLASSES)]
    offset = 0.5 * _turn(TARGET, DIM)[len(CLASSES) + _SALT[modality]]
    y = torch.arange(len(CLASSES)).repeat_interleave(per_class)
    generator = torch.Generator().manual_seed(1000 * _SALT[modality] + draw)
    noise = torch.randn(len(y), DIM, generator=generator)
    x = directions[y] + offset + 0.2 * noise
    return Stream(modality, {"features": 3 * x if modality == TARGET else 3 * x @ _turn(modality, DIM)}, y)


def context(aux: Iterable[str], *, shots: int = 4, target: bool = True, val: bool = True, seed: int = 1) -> Context:
    """A new context; nothing in it is shared with another one.

    Args:
        aux: of `AUXILIARY`.
        target: whether train has samples of the target.
    """
    ways = towers()
    modalities = ([TARGET] if target else []) + list(aux)
    return Context(
        classes=CLASSES,
        target=TARGET,
        dim=DIM,
        train={name: ways.embed(trunk_outputs(name, shots, draw=1)) for name in modalities},
        val=ways.embed(trunk_outputs(TARGET, min(shots, 4), draw=2)) if val else None,
        named=frozenset(modalities) & {NAMES},
        towers=ways,
        read_names=lambda: ways.embed(trunk_outputs(NAMES, 2, draw=3)),
        seed=seed,
    )


def held_out() -> Stream:
    """Trunk outputs of the target, that no context holds: 200 samples."""
    return trunk_outputs(TARGET, 40, draw=4)


THINGS = 160
KNOWN = 120
"""Things below are classes of the encoders' own classifiers and in pairs; those above are held out."""


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
        generator = torch.Generator().manual_seed(_SALT[self.modality])
        noise = 0.02 * torch.randn(THINGS, self.dim, generator=generator)
        features = (_hidden() @ _turn(self.modality, self.dim)[: _hidden().shape[1]] + noise)[rows]
        if not self.classifies:
            return {"features": features}
        return {"features": features, "scores": (20 * features @ self._rows().T).softmax(dim=1)}

    def prototypes(self) -> Prototypes | None:
        return Prototypes(tuple(f"thing {i}" for i in range(KNOWN)), self._rows()) if self.classifies else None

    def _rows(self) -> Tensor:
        return _hidden()[:KNOWN] @ _turn(self.modality, self.dim)[: _hidden().shape[1]]


def align_context(source: str, *, complete: bool = True) -> AlignContext:
    """The way from "heard" or "named" to "seen".

    Args:
        complete: with pairs, names and classifiers; else with nothing that an aligner could learn from.
    """
    target = ThingEncoder(TARGET, 12, classifies=complete)
    namer = ThingEncoder(NAMES, 24, accepts_names=True, classifies=False)
    leaving = namer if source == NAMES else ThingEncoder(source, 14, classifies=complete)
    known = range(KNOWN)
    return AlignContext(
        source=leaving,
        target=target,
        namer=namer if complete else None,
        pairs=Pairs(leaving.trunk(known), target.trunk(known)) if complete else None,
        features=lambda encoder, items: encoder.trunk(items),
    )


def _hidden() -> Tensor:
    """A unit vector for each thing, (THINGS, 6)."""
    return normalize(torch.randn(THINGS, 6, generator=torch.Generator().manual_seed(0)), dim=1)


def _turn(modality: str, dim: int) -> Tensor:
    """An orthogonal matrix (dim, dim)."""
    generator = torch.Generator().manual_seed(100 + _SALT[modality])
    turn: Tensor = torch.linalg.qr(torch.randn(dim, dim, generator=generator)).Q
    return turn
