"""Encoders of one space that read files such as "tree frog 7": a class's direction, with the number's noise."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import torch

from xm import Encoder, EncoderSpec, fingerprint_of, hookimpl
from xm.encoders import read_text


@hookimpl
def encoders() -> list[EncoderSpec]:
    kinds = {"image": ".jpeg", "audio": ".wav", "text": ".txt"}
    return [
        EncoderSpec(name=f"toy-{m}", target=f"xm_esc_toy:{m.title()}", modality=m, suffixes=(s,), priority=1)
        for m, s in kinds.items()
    ]


class Toy(Encoder):
    space, dim = "toy", 24

    def __init__(self, argument: str = "") -> None:
        assert not argument

    def fingerprint(self) -> str:
        return fingerprint_of("esc-toy", self.modality)

    def trunk(self, items: Sequence[Any]) -> dict[str, torch.Tensor]:
        return {"features": torch.stack([self._vector(read_text(item)) for item in items])}

    def _vector(self, text: str) -> torch.Tensor:
        name, _, number = text.rpartition(" ") if text[-1].isdigit() else (text, "", "")
        vector = _direction(name)
        return vector + 0.8 * _direction(f"noise {number}") if number else vector


def _direction(word: str) -> torch.Tensor:
    vector = torch.randn(Toy.dim, generator=torch.Generator().manual_seed(zlib.crc32(word.encode())))
    return vector / vector.norm()


class Image(Toy):
    modality = "image"


class Audio(Toy):
    modality = "audio"


class Text(Toy):
    modality, accepts_names = "text", True
