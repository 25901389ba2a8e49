"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xm.errors import UsageError

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
Pick = Annotated[
    str | None,
    typer.Option(
        metavar="PART", help="Which model: part of its folder's name, such as shots-1/seed-2; else the most shots."
    ),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Features = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Instead of --data: precomputed features, .npz or .safetensors."),
]


def source_of(data: str | None, features: Path | None) -> str | None:
    """The data, by either flag.

    Raises:
        UsageError: if both are given, or the file is of another kind.
    """
    if features is None:
        return data
    if data is not None:
        raise UsageError("--data and --features exclude each other")
    if features.suffix.lower() not in (".npz", ".safetensors"):
        raise UsageError(f"--features {features}: it should be a .npz or .safetensors file")
    return str(features)
