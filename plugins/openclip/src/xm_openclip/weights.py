"""Where weights come from, and what identifies them."""

from __future__ import annotations

import hashlib
import re
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from xm import UsageError
from xm.plugins import Weights as Told, hub, of_files

OTHERWISE = "name a folder with open_clip_config.json and weights: openclip:local-dir:FOLDER"
"""What to type where there is no network."""

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class FileWeights:
    """A checkpoint on this machine."""

    path: Path
    digest: str

    def file(self) -> Path:
        return self.path

    def identity(self) -> str:
        """SHA-256 of the content."""
        return self.digest

    def told(self) -> tuple[Told, ...]:
        """As `xm.Encoder.pretrained` says them."""
        return (of_files(self.path),)


@dataclass(frozen=True)
class HubWeights:
    """The first of `names` in a repository of the Hugging Face hub; downloaded when it is first needed."""

    repo: str
    names: tuple[str, ...]

    def file(self) -> Path:
        return hub.fetch(self.repo, self.names, OTHERWISE)

    def identity(self) -> str:
        """SHA-256 of the content; a file that isn't here yet is downloaded for it."""
        return sha256(self.file())

    def told(self) -> tuple[Told, ...]:
        """As `xm.Encoder.pretrained` says them."""
        return (hub.weights(self.repo, self.names, OTHERWISE),)


@dataclass(frozen=True)
class RandomWeights:
    """The model's own initialisation from a seed, for tests and plumbing."""

    seed: int

    def identity(self) -> str:
        """Seed and torch version, on which the draws depend."""
        import torch

        return f"random:{self.seed}, torch {torch.__version__}"

    def told(self) -> tuple[Told, ...]:
        """None: there are no files."""
        return ()


Weights = FileWeights | HubWeights | RandomWeights


def from_file(path: Path) -> FileWeights:
    """A checkpoint file.

    Raises:
        UsageError: if there is no such file.
    """
    if not path.is_file():
        raise UsageError(f"no such checkpoint: {path}")
    return FileWeights(path, sha256(path))


def sha256(path: Path) -> str:
    """Of a file's content. The hub's cache names its blobs by it, so those are not read."""
    path = path.resolve()
    if path.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", path.name):
        return path.name
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_torchscript(path: Path) -> bool:
    """Whether the file is a TorchScript archive: a program with weights, as OpenAI publishes."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
