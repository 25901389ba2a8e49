"""A fake plugin: three encoders over lines such as "cat 7", which say the class and the seed of some noise."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xm import Encoder, EncoderSpec, ItemError, UsageError, fingerprint_of, hookimpl
from xm.encoders.items import read_text

ENCODED: Counter[str] = Counter()
"""How many items each encoder was given since the count was last cleared."""

WEIGHTS = {"version": 1}
"""Part of every fingerprint."""

NOISE = 0.9


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(name="toy-image", target="xm_toy:ToyImage", modality="image", suffixes=(".toy",), priority=10),
        EncoderSpec(name="toy-text", target="xm_toy:ToyText", modality="text", suffixes=(".txt",), priority=10),
        EncoderSpec(name="toy-sound", target="xm_toy:ToySound", modality="audio", suffixes=(".snd",), priority=10),
    ]


class Toy(Encoder):
    """The direction of a word, hashed with the space's name, and noise."""

    batch_size = 8

    def __init__(self, argument: str = "") -> None:
        if argument:
            raise UsageError(f"toy:{argument}: no argument")

    def fingerprint(self) -> str:
        return fingerprint_of("toy", self.space, WEIGHTS["version"])

    def trunk(self, items: Sequence[Any]) -> dict[str, torch.Tensor]:
        ENCODED[self.modality] += len(items)
        return {"features": torch.stack([self._vector(item) for item in items])}

    def _vector(self, item: Any) -> torch.Tensor:
        if isinstance(item, np.ndarray):
            return torch.from_numpy(item).float()
        words = read_text(item).rstrip(".").split()
        if "broken" in words:
            raise ItemError(item, "is broken")
        seed = words.pop() if words[-1].isdigit() else None
        vector = direction(words[-1], self.space, self.dim)
        return vector if seed is None else vector + NOISE * direction(seed, f"noise of {self.space}", self.dim)


def direction(word: str, space: str, dim: int) -> torch.Tensor:
    seed = int.from_bytes(hashlib.blake2b(f"{space}/{word}".encode(), digest_size=8).digest())
    vector = torch.from_numpy(np.random.default_rng(seed).standard_normal(dim)).float()
    return vector / vector.norm()


class ToyImage(Toy):
    modality, suffixes, space, dim = "image", (".toy",), "toy", 8


class ToyText(Toy):
    modality, suffixes, space, dim = "text", (".txt",), "toy", 8
    accepts_names = True


class ToySound(Toy):
    modality, suffixes, space, dim = "audio", (".snd",), "toy-sound", 12


CLASSES = ("cat", "cow", "dog", "hen", "owl")


def write_folder(root: Path, *, each: int = 12, classes: Sequence[str] = CLASSES, suffix: str = ".toy") -> Path:
    """<root>/<class>/<n><suffix>."""
    for k, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for n in range(each):
            (root / name / f"{n}{suffix}").write_text(f"{name} {1000 * k + n}", encoding="utf-8")
    return root


def write_table(root: Path, *, splits: bool = True, pairs: int = 6) -> Path:
    """A table of images, of sounds, and of pairs of the two, which are of "pool" if there are splits."""
    write_folder(root / "images", each=14)
    write_folder(root / "sounds", each=4, suffix=".snd")
    lines = ["path,modality,label,split,pair"]
    for name in CLASSES:
        for n in range(14):
            split = ("train", "val", "test")[min(n // 3, 2)] if splits else ""
            lines.append(f"images/{name}/{n}.toy,image,{name},{split},")
        for n in range(4):
            lines.append(f"sounds/{name}/{n}.snd,audio,{name},{'train' if splits else ''},")
        for n in range(pairs):
            for folder, modality, suffix in (("images", "image", "toy"), ("sounds", "audio", "snd")):
                path = f"{folder}/{name}/pair{n}.{suffix}"
                (root / path).write_text(f"{name} {90_000 + 100 * CLASSES.index(name) + n}", encoding="utf-8")
                lines.append(f"{path},{modality},{name},{'pool' if splits else ''},{name}{n}")
    (root / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / "table.csv"
