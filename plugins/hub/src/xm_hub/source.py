"""What a user types for a model, resolved to files: a folder of this machine, or a repository. Loads no model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from xm import UsageError, fingerprint_of
from xm.plugins import Weights, hub, of_files

CONFIG = "config.json"
CHECKPOINTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Names of weights, whole or as the index of several files; safetensors first."""

_SMALL = {".json", ".txt", ".model", ".jinja", ".md", ".py"}
"""Suffixes of what stands beside weights: configuration, tokenizer, preprocessing, the licence's page, code."""

_POINTER = b"version https://git-lfs"
"""How the file begins that stands for a large one in a repository copied without Git LFS."""


@dataclass(frozen=True)
class Source:
    """A model's files.

    Attributes:
        encoder: the name before the colon, for messages.
        name: as typed behind it, for messages.
        given: the folder of this machine; None of a repository.
        repo: ORG/NAME; "" of a folder.
        revision: of the repository.
    """

    encoder: str
    name: str
    given: Path | None
    repo: str = ""
    revision: str = hub.MAIN

    @property
    def otherwise(self) -> str:
        """What to type where there is no network."""
        said = f"name a folder that has it: {self.encoder}:FOLDER"
        near, name = Path(self.repo).parent, Path(self.repo).name
        if self.repo and Path(self.repo).is_dir():
            return f"{said} (a folder has no revision: {self.encoder}:{self.repo})"
        return f"{said} (the folder {near} here holds no {name})" if self.repo and near.is_dir() else said

    def file(self, *names: str) -> Path:
        """The first of the files that there is; of a repository it is downloaded.

        Raises:
            UsageError: if there is none of them.
            PluginError: if the repository's is not here and can't be downloaded.
        """
        if self.given is None:
            return hub.fetch(self.repo, names, self.otherwise, self.revision)
        for name in names:
            if (self.given / name).is_file():
                return self.given / name
        raise UsageError(f"{self.encoder}:{self.name}: the folder has no {' or '.join(names)}")

    def folder(self, *needs: Sequence[str]) -> Path:
        """The folder with all of it: configuration, weights, tokenizer, preprocessing.

        Args:
            needs: names of files beside configuration and weights, one of each group of which there must be.

        Raises:
            UsageError: if there is none of a group.
            PluginError: if the repository's are not here and can't be downloaded.
        """
        groups = ([CONFIG], CHECKPOINTS, *needs)
        folder = self.snapshot(groups, _chosen)
        whole = [[name] for path in (folder / n for n in CHECKPOINTS) for name in _parts(path)]
        return self.snapshot((*groups, *whole), _chosen)

    def snapshot(self, needs: Sequence[Sequence[str]], choose: Callable[[Sequence[str]], Sequence[str]]) -> Path:
        """The folder with files that may lie in folders of its own.

        Args:
            needs: paths in it, one of each group of which there must be.
            choose: which to download, of the paths of all files of a repository.

        Raises:
            UsageError: if there is none of a group.
            PluginError: if the repository's are not here and can't be downloaded.
        """
        if self.given is None:
            return hub.snapshot(self.repo, needs, choose, self.otherwise, self.revision)
        lost = hub.missing_of(self.given, needs)
        if lost is not None:
            raise UsageError(f"{self.encoder}:{self.name}: the folder has no {' or '.join(lost)}")
        return self.given

    def json(self, *names: str) -> dict[str, Any]:
        """The object in the first of the files that there is."""
        path = self.file(*names)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError("not an object")
        except ValueError as error:
            raise UsageError(f"{path}: is no JSON of a model ({' '.join(str(error).split())})") from error
        return content

    def config(self) -> dict[str, Any]:
        """The model's configuration."""
        return self.json(CONFIG)

    def checkpoint(self) -> list[Path]:
        """The files with weights: safetensors where there are such.

        Raises:
            UsageError: if there are none, or a Git LFS pointer stands for them.
        """
        first = self.file(*CHECKPOINTS)
        paths = [first.parent / name for name in _parts(first)] or [first]
        for path in paths:
            refuse_pointer(path if path.is_file() else self.file(path.name))
        return paths

    def digests(self, *names: str) -> list[str]:
        """What the files hold that there are of `names`, with their names, for a fingerprint."""
        folder = self.given or self.file(CONFIG).parent
        return [f"{name} {digest(folder / name)}" for name in names if (folder / name).is_file()]

    def identity(self) -> str:
        """Of configuration and weights, by content; weights are downloaded for it, not loaded."""
        return fingerprint_of(digest(self.file(CONFIG)), *(digest(path) for path in self.checkpoint()))

    def space(self) -> str:
        """Name of the space: the repository's with its revision, or a digest of the folder's model."""
        if not self.repo:
            return f"{self.encoder}:{self.identity()[:12]}"
        return f"{self.encoder}:{self.repo}" + ("" if self.revision == hub.MAIN else f"@{self.revision}")

    def pretrained(self) -> tuple[Weights, ...]:
        """What `xm.Encoder.pretrained` gives."""
        if self.given is not None:
            return (of_files(*self.checkpoint()),)
        return (hub.weights(self.repo, CHECKPOINTS, self.otherwise, self.revision, parts=_parameters),)


def resolve(encoder: str, argument: str, example: str) -> Source:
    """A folder of this machine, or ``ORG/NAME[@REVISION]`` of the hub.

    Args:
        encoder: the name before the colon.
        argument: what followed it.
        example: of a repository, for messages.

    Raises:
        UsageError: if it is neither.
    """
    folder = Path(argument).expanduser()
    if argument and folder.is_dir():
        return Source(encoder, argument, folder)
    named = hub.parsed(argument)
    if not argument:
        raise UsageError(f"{encoder} needs a model: {encoder}:{example}, or a folder: {encoder}:FOLDER")
    if folder.is_file():
        raise UsageError(f"{encoder}:{argument}: is a file; type the folder that it is in: {encoder}:{folder.parent}")
    if named is None:
        raise UsageError(f"{encoder}:{argument}: no such folder, and no ORG/NAME of the hub as in {encoder}:{example}")
    return Source(encoder, argument, None, *named)


def _parts(index: Path) -> list[str]:
    """The files that an index of weights names; [] for a path that is no index, or not there."""
    if not index.name.endswith(".index.json") or not index.is_file():
        return []
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(f"{index}: is no index of weights ({type(error).__name__})") from error


def _chosen(names: Sequence[str]) -> list[str]:
    """Of a repository's files those to download: one form of the weights, and what is small beside them."""
    paths = [PurePosixPath(name) for name in names if name.count("/") <= 1]
    top = [path.name for path in paths if len(path.parts) == 1]
    safe = any(name.endswith(".safetensors") for name in top)
    kind = ".safetensors" if safe else ".bin"
    return [str(p) for p in paths if p.suffix in _SMALL or (len(p.parts) == 1 and p.suffix == kind)]


def refuse_pointer(path: Path) -> None:
    """Look at a file of weights.

    Raises:
        UsageError: if it is a Git LFS pointer.
    """
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise UsageError(f"{path}: is a Git LFS pointer, not the weights; type in its folder: git lfs pull")


def why_unloaded(error: Exception) -> str:
    """What torch, pickle, safetensors or a library raises for wrong weights, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    if "weights only load failed" in lines[0].lower() or "weights_only=True blocked" in lines[0]:
        return "it holds something else than tensors; such a file could run code, so it is not loaded"
    said = lines[1] if len(lines) > 1 and lines[0].startswith("Error(s) in loading") else lines[0]
    return f"{type(error).__name__}: {said[:200]}"


def _parameters(names: Sequence[str]) -> list[str]:
    """Of a repository's files those that hold parameters, in the form that is downloaded."""
    return [name for name in _chosen(names) if PurePosixPath(name).suffix in (".safetensors", ".bin")]


def digest(path: Path) -> str:
    """Of a file's content; a file that has not changed is read once."""
    path = path.resolve()
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    return fingerprint_of(path)
