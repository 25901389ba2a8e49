"""The published checkpoint: a state dict with ``audio.*``, ``visual.*`` and, without a prefix, the text tower."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from xm import UsageError
from xm.foundation import described
from xm_audioclip.reference import URL

State = dict[str, Tensor]

_CLIP = (
    "visual.",
    "transformer.",
    "token_embedding.",
    "positional_embedding",
    "ln_final.",
    "text_projection",
    "logit_scale",
)
_WIDTHS = {
    "audio": ("audio.fc.weight", 0),
    "image": ("visual.attnpool.c_proj.weight", 0),
    "text": ("text_projection", 1),
}
"""Where each tower's output width is read: a tensor and its axis."""
_GRID, _CONTEXT = "visual.attnpool.positional_embedding", "positional_embedding"
_STRIDE = 32
"""Pixels to a position of the grid."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was looked at.

    Attributes:
        file: where it is.
        digest: SHA-256 of its content.
        dim: width of the embeddings.
        image_size: in pixels.
        context: tokens to a text.
    """

    file: Path
    digest: str
    dim: int
    image_size: int
    context: int

    @property
    def space(self) -> str:
        """Of its three towers."""
        return f"audioclip:{self.digest[:12]}"

    def audio(self) -> State:
        """Weights of the audio head, without their prefix."""
        return {key.removeprefix("audio."): v for key, v in _read(self.file).items() if key.startswith("audio.")}

    def clip(self) -> State:
        """Weights of the image and text towers, under CLIP's names."""
        skipped = ("logit_scale_ai", "logit_scale_at")
        return {k: v for k, v in _read(self.file).items() if k.startswith(_CLIP) and k not in skipped}


def look(file: Path) -> Checkpoint:
    """Identify a checkpoint; the weights stay on disk.

    Raises:
        UsageError: if the file is none, or its towers differ in width.
    """
    stat = file.stat()
    return _look(file.resolve(), stat.st_size, stat.st_mtime_ns)


def misfit(file: Path, error: Exception) -> UsageError:
    """The error for weights that don't fit the network."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, KeyError):
        told = f"it lacks {error.args[0]}"
    elif len(lines) > 1 and lines[0].startswith("Error(s) in loading"):
        told = lines[1][:200]
    else:
        told = described(error)
    return UsageError(f"{file} is no checkpoint of AudioCLIP: {told}")


@lru_cache(maxsize=16)
def _look(file: Path, size: int, mtime_ns: int) -> Checkpoint:
    state = _read(file)
    missing = [key for key in (*(key for key, _ in _WIDTHS.values()), _GRID, _CONTEXT) if key not in state]
    if missing:
        raise UsageError(
            f"{file} is no checkpoint of AudioCLIP: it lacks {', '.join(missing)} "
            "(CLIP.pt and ESRNXFBSP.pt hold only parts; take AudioCLIP-Full-Training.pt)"
        )
    widths = {tower: state[key].shape[axis] for tower, (key, axis) in _WIDTHS.items()}
    if len(set(widths.values())) > 1:
        told = ", ".join(f"{tower} {width}" for tower, width in widths.items())
        raise UsageError(f"{file} is no checkpoint of AudioCLIP: its towers differ in width ({told})")
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    image_size = _STRIDE * round((len(state[_GRID]) - 1) ** 0.5)
    return Checkpoint(file, digest, widths["audio"], image_size, len(state[_CONTEXT]))


def _read(file: Path) -> State:
    """The tensors, mapped from the file where its format allows."""
    with file.open("rb") as content:
        start = content.read(2)
    if start != b"PK" and not start.startswith(b"\x80"):  # a zip or a pickle
        raise UsageError(
            f"{file} is no file of torch, but perhaps a web page or a Git LFS pointer; download it again: {URL}"
        )
    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except Exception as error:  # torch and pickle raise many kinds for a wrong file
        if "Weights only load failed" in str(error):
            raise UsageError(f"{file} holds more than tensors, and could run code, so it is not loaded") from error
        raise UsageError(
            f"{file} is damaged or cut short: torch can't read it ({type(error).__name__}); download it again: {URL}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UsageError(f"{file} is no state dict; save one with torch.save(model.state_dict(), FILE)")
    return state
