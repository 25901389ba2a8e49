"""Feature sets for sweep.py: synthetic ones, and Caltech-101's published draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from text_path import Caltech
from torch import Tensor
from torch.nn.functional import normalize

from xm import Stream
from xm.learning import EMBEDDING

NAMES = (0.5, 0.7, 1.0, 1.5, 2.5)
"""Noise of the names in synthetic sets; alone they get 84, 66, 46, 27 and 10 % of the test images right."""


@dataclass(frozen=True)
class Features:
    """One feature set: unit vectors with labels. `text` holds the class names."""

    image: Stream
    text: Stream
    val: Stream
    test: Stream

    @property
    def classes(self) -> int:
        return int(pair(self.text)[1].max()) + 1

    @property
    def megabytes(self) -> float:
        """Of what is trained on."""
        return sum(stream.x[EMBEDDING].nbytes for stream in (self.image, self.text)) / 1e6


def pair(stream: Stream) -> tuple[Tensor, Tensor]:
    assert stream.y is not None
    return stream.x[EMBEDDING], stream.y


def synthetic(
    seed: int, *, noise: float | None = None, classes: int = 100, shots: int = 16, texts: int = 1, dim: int = 1024
) -> Features:
    """Classes in groups of ten, noise with a falling spectrum in a basis of its own, names beyond a gap of their own.

    Were that basis the coordinates', AdamW, which scales each by itself, would have it easier than on embeddings.
    `noise` is the names'; by default one of NAMES after the other.
    """
    generator = torch.Generator().manual_seed(seed)

    def directions(n: int, spectrum: Tensor | float = 1.0) -> Tensor:
        return normalize(torch.randn(n, dim, generator=generator) * spectrum, dim=1)

    groups, falling = directions(-(-classes // 10)), torch.linspace(0, -4, dim).exp()
    centres = normalize(groups.repeat_interleave(10, dim=0)[:classes] + directions(classes), dim=1)
    image_side, text_side = directions(1), directions(1)
    basis, _ = torch.linalg.qr(torch.randn(dim, dim, generator=generator))

    def images(count: int) -> Stream:
        y = torch.arange(classes).repeat_interleave(count)
        x = image_side + 0.5 * centres[y] + 2.2 * directions(len(y), falling) @ basis
        return Stream("image", {EMBEDDING: normalize(x, dim=1)}, y)

    strength = NAMES[seed % len(NAMES)] if noise is None else noise
    named = torch.arange(classes).repeat_interleave(texts)
    names = normalize(text_side + 0.5 * centres[named] + strength * directions(len(named)), dim=1)
    return Features(images(shots), Stream("text", {EMBEDDING: names}, named), images(4), images(20))


def caltech(data: Path, shots: int, sets: int) -> Iterator[Features]:
    """The published draws of Caltech-101 and its whole test split, names through the aligner `names`."""
    source = Caltech(data)
    names = source.names(source.kernel())
    for seed in range(1, sets + 1):
        draw = source.draw(shots, seed)
        yield Features(draw.train, names, draw.val, draw.test)
