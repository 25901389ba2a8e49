"""A plugin: encoders of images by mean colour, of sounds by loudness, of texts by letters. And what makes tars."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image

from xm import Encoder, EncoderSpec, fingerprint_of, hookimpl
from xm.encoders import read_text
from xm.media.images import VIEWS, read_image
from xm.media.sounds import read_sound

COLOURS = {"red": (220, 40, 30), "green": (40, 200, 60), "blue": (30, 60, 210)}
ENCODED: Counter[str] = Counter()
"""How many items each encoder was given since the count was last cleared."""


class Toy(Encoder):
    space, dim = "webdataset-toys", 3

    def __init__(self, argument: str = "") -> None:
        pass

    def fingerprint(self) -> str:
        return fingerprint_of("webdataset-toys", self.modality)

    def trunk(self, items: Sequence[Any]) -> dict[str, torch.Tensor]:
        rows = [self.row(item) for item in items]
        ENCODED[self.modality] += len(items)
        return {"features": torch.tensor(np.stack(rows), dtype=torch.float32)}

    def row(self, item: Any) -> Any:
        raise NotImplementedError


class Colour(Toy):
    modality, suffixes, views = "image", (".png",), VIEWS

    def row(self, item: Any) -> Any:
        return np.asarray(read_image(item).convert("RGB"), dtype=float).mean((0, 1)) / 255


class Loudness(Toy):
    modality, suffixes = "audio", (".wav",)

    def row(self, item: Any) -> Any:
        return np.full(3, float(read_sound(item, 8000).abs().mean()))


class Letters(Toy):
    modality, suffixes, accepts_names = "text", (".txt",), True

    def row(self, item: Any) -> Any:
        text = read_text(item)
        return np.array([text.count(letter) for letter in "rgb"], dtype=float) + 0.1


@hookimpl
def encoders() -> list[EncoderSpec]:
    made = {"wds-colour": Colour, "wds-loudness": Loudness, "wds-letters": Letters}
    return [
        EncoderSpec(
            name=name,
            target=f"webdataset_toys:{kind.__name__}",
            modality=kind.modality,
            suffixes=kind.suffixes,
            priority=1000,
        )
        for name, kind in made.items()
    ]


def write_tar(path: Path, files: Mapping[str, Any], *, mode: Any = "w") -> Path:
    """A tar of files by name: bytes, a text, a number, or an object to be JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            given = content if isinstance(content, bytes) else _text(content).encode()
            info = tarfile.TarInfo(name)
            info.size = len(given)
            tar.addfile(info, io.BytesIO(given))
    return path


def _text(content: Any) -> str:
    return str(content) if isinstance(content, str | int) else json.dumps(content)


def png(colour: str, number: int) -> bytes:
    rng = np.random.default_rng([number, *colour.encode()])
    pixels = (np.array(COLOURS[colour]) + rng.integers(-30, 30, (6, 6, 3))).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def wav(number: int) -> bytes:
    stream = io.BytesIO()
    wave = np.random.default_rng(number).uniform(-0.5, 0.5, 800).astype(np.float32)
    soundfile.write(stream, wave, 8000, format="WAV")
    return stream.getvalue()
