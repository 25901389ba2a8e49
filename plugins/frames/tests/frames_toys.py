"""A single-file plugin: the image encoder `hues` and the audio encoder `pitch`, each also read ahead; small videos."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor

from xm import Encoder, EncoderSpec, ItemError, Preparing, Prototypes, fingerprint_of, hookimpl
from xm.encoders import Tail
from xm.learning import Inputs
from xm.media.images import read_image
from xm.media.sounds import read_sound, sound_name

RED, GREEN, BLUE = (220, 20, 20), (20, 220, 20), (20, 20, 220)
RATE = 8_000
SIZE = 32


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(name="hues", target="frames_toys:Hues", modality="image", suffixes=(".png",)),
        EncoderSpec(name="pitch", target="frames_toys:Pitch", modality="audio", suffixes=(".wav",)),
        EncoderSpec(name="hues-ahead", target="frames_toys:HuesAhead", modality="image", suffixes=(".png",)),
        EncoderSpec(name="pitch-ahead", target="frames_toys:PitchAhead", modality="audio", suffixes=(".wav",)),
    ]


class Hues(Encoder):
    """The mean colour of the left and of the right half, and its own three classes."""

    modality, suffixes, space, dim, batch_size, views = "image", (".png",), "hues", 7, 5, ("flip", "crop")

    def __init__(self, argument: str = "") -> None:
        self.seen = 0

    def fingerprint(self) -> str:
        return fingerprint_of("hues")

    def trunk(self, items: Sequence[Any]) -> Inputs:
        self.seen += len(items)
        pictures = [np.asarray(read_image(item).convert("RGB"), dtype=np.float32) / 255 for item in items]
        if any(picture.max() < 0.02 for picture in pictures):
            raise ItemError("<image>", "is black all over")
        halves = [np.concatenate([half.mean((0, 1)) for half in np.array_split(p, 2, axis=1)]) for p in pictures]
        x = torch.from_numpy(np.stack([np.append(half, np.float32(0.2)) for half in halves]))
        return {"features": 3 * x, "scores": (x[:, :3] + x[:, 3:6]).softmax(dim=1)}

    def prototypes(self) -> Prototypes:
        eye = torch.eye(3)
        return Prototypes(("red", "green", "blue"), torch.cat([eye, eye, torch.zeros(3, 1)], dim=1))


class Pitch(Encoder):
    """How strong each of 64 bands of the spectrum is. It can be split at depth 1."""

    modality, suffixes, space, dim = "audio", (".wav",), "pitch", 64

    def __init__(self, argument: str = "") -> None:
        pass

    def fingerprint(self) -> str:
        return fingerprint_of("pitch")

    def trunk(self, items: Sequence[Any]) -> Inputs:
        return {"features": torch.stack([self._features(item) for item in items])}

    def split(self, depth: int) -> tuple[Any, torch.nn.Module]:
        if depth == 1:
            return (lambda items: {"bands": self.trunk(items)["features"]}), Tail()
        return super().split(depth)

    def _features(self, item: Any) -> Tensor:
        wave = read_sound(item, RATE)
        if float(wave.abs().max()) < 1e-3:
            raise ItemError(sound_name(item), "is silent")
        power = torch.fft.rfft(wave[:4096], n=4096).abs()[:4096]
        return power[: 64 * 32].reshape(64, 32).mean(dim=1)


class HuesAhead(Preparing):
    """`Hues`, whose halves are found when an item is read."""

    modality, suffixes, space, dim, batch_size, views = "image", (".png",), "hues", 7, 5, ("flip", "crop")

    def __init__(self, argument: str = "") -> None:
        self.hues = Hues()

    def fingerprint(self) -> str:
        return fingerprint_of("hues ahead")

    def prepare(self, item: Any) -> Inputs:
        return self.hues.trunk([item])

    def compute(self, prepared: Sequence[Any]) -> Inputs:
        return {name: torch.cat([one[name] for one in prepared]) for name in ("features", "scores")}

    def prototypes(self) -> Prototypes:
        return self.hues.prototypes()


class PitchAhead(Preparing):
    """`Pitch`, whose spectra are made when an item is read. It can be split at depth 1."""

    modality, suffixes, space, dim, batch_size, sized = "audio", (".wav",), "pitch", 64, 2, True

    def __init__(self, argument: str = "") -> None:
        self.pitch = Pitch()

    def fingerprint(self) -> str:
        return fingerprint_of("pitch ahead")

    def prepare(self, item: Any) -> Tensor:
        return self.pitch.trunk([item])["features"][0]

    def size(self, prepared: Tensor) -> int:
        return int(prepared.argmax())

    def compute(self, prepared: Sequence[Any]) -> Inputs:
        return {"features": torch.stack(list(prepared))}

    def opened(self, depth: int) -> tuple[Any, torch.nn.Module]:
        if depth == 1:
            return (lambda prepared: {"bands": torch.stack(list(prepared))}), Tail()
        return super().opened(depth)


def plain(colour: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    return np.full((SIZE, SIZE, 3), colour, np.uint8)


def write(path: Path, colours: Sequence[tuple[int, int, int]], *, tone: float = 0, pts: Sequence[int] = ()) -> Path:
    """A video of plain frames, ten a second or at `pts` (hundredths); `tone` Hz for as long as it lasts at ten."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=100 if pts else 10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = SIZE, SIZE, "yuv420p", 6
        sound = out.add_stream("aac", rate=RATE, layout="mono") if tone else None
        for i, colour in enumerate(colours):
            frame = av.VideoFrame.from_ndarray(plain(colour), "rgb24")
            if pts:
                frame.pts, frame.time_base = pts[i], Fraction(1, 100)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None:
            wave = 0.5 * np.sin(2 * np.pi * tone * np.arange(len(colours) * RATE // 10) / RATE)
            for start in range(0, len(wave), 1024):
                made = av.AudioFrame.from_ndarray(wave[None, start : start + 1024].astype(np.float32), "fltp", "mono")
                made.sample_rate, made.pts = RATE, start
                out.mux(sound.encode(made))
            out.mux(sound.encode(None))
    return path


def shade(colour: tuple[int, int, int], seed: int) -> tuple[int, int, int]:
    """Nearly that colour."""
    change = np.random.default_rng(seed).integers(-20, 21, 3)
    red, green, blue = (int(value) for value in np.clip(np.array(colour) + change, 0, 255))
    return red, green, blue
