"""Weights: where an encoder's parameters come from, how large they are, and under which licence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

SUFFIXES = (".safetensors", ".onnx", ".pth", ".pt", ".bin", ".npz")
"""Of files that hold parameters."""

_UNSAID = "UNKNOWN"
"""What older build tools write where a package states no licence."""

_SAYS = "License :: OSI Approved :: "


@dataclass(frozen=True)
class Weights:
    """Files that parameters are read from, on this machine or not yet.

    Attributes:
        name: of a repository, a package, or a file's path.
        source: where they come from, in words: "huggingface.co", "package", "file".
        paths: the files; () if they are not here.
        size: bytes in all; None if that is not known.
        licence: as the source states it; "" if it states none, or none is known.
        get: brings them here; None if that is not xm's to do.
    """

    name: str
    source: str
    paths: tuple[Path, ...] = ()
    size: int | None = None
    licence: str = ""
    get: Callable[[], object] | None = field(default=None, compare=False)
    kept: bool = False

    @property
    def here(self) -> bool:
        """Whether they are on this machine."""
        return self.kept or bool(self.paths)


def of_files(*paths: Path) -> Weights:
    """Weights in files that the user named; the first gives the name."""
    there = tuple(path for path in paths if path.is_file())
    return Weights(str(paths[0]), "file", there, sum(path.stat().st_size for path in there) if there else None)


def of_package(
    name: str, suffixes: Sequence[str] = (".safetensors", ".onnx", ".pth", ".pt", ".bin", ".npz")
) -> Weights:
    """Weights that a package of the registry carries.

    Args:
        name: of the distribution.
        suffixes: of the files that hold parameters.
    """
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return Weights(name, "package")
    paths = tuple(Path(str(found.locate_file(file))) for file in found.files or () if file.suffix in suffixes)
    size = sum(path.stat().st_size for path in paths if path.is_file())
    return Weights(f"{name} {found.version}", "package", paths, size, _licence(found))


def _licence(found: metadata.Distribution) -> str:
    """What a distribution says of its licence: the expression, else the classifier, else a short text."""
    said = found.metadata.json
    classified = [str(line).removeprefix(_SAYS) for line in said.get("classifier", []) if str(line).startswith(_SAYS)]
    text = str(said.get("license_expression") or "") or ", ".join(classified) or str(said.get("license") or "")
    return text if "\n" not in text and len(text) <= 60 and text != _UNSAID else ""


def told(weights: Weights) -> str:
    """What is told before a download: name, size, licence."""
    size = "of unknown size" if weights.size is None else in_bytes(weights.size)
    return f"{weights.name}: {size}, licence {weights.licence or 'not stated'}"


def in_bytes(size: float) -> str:
    """A size as people read it: "350 MB"."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
