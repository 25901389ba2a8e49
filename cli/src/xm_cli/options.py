"""Options that several commands have."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from xm import UsageError
from xm_cli.commands import Command

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
Pick = Annotated[
    str | None,
    typer.Option(
        metavar="PART", help="Which model: part of its folder's name, such as shots-1/seed-2; else the most shots."
    ),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
AddClass = Annotated[
    list[str] | None,
    typer.Option("--add-class", metavar="NAME", help="A new class, which the model takes in by its name; repeatable."),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="A,B", help="Decide among these classes alone; repeatable."),
]
Features = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Instead of --data: precomputed features, .npz or .safetensors."),
]
Encoders = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder", metavar="MODALITY=REF", help="Encoder of a modality; repeatable. Or --<modality>-encoder REF."
    ),
]
"""Of a command whose class is `WithEncoders`."""


def references(encoders: list[str] | None) -> dict[str, str]:
    """What `Encoders` gave: modality to reference.

    Raises:
        UsageError: if one is not of the form MODALITY=REF.
    """
    from xm_cli.settings import parsed  # it imports pydantic

    found: dict[str, str] = parsed("encoders", encoders or [], "flag")
    return found


_ENCODER = re.compile(r"--(?P<modality>[^=]+)-encoder(?:=(?P<reference>.*))?", re.DOTALL)


class WithEncoders(Command):
    """Reads ``--<modality>-encoder REF``, for any modality, as ``--encoder <modality>=REF``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, rewritten(args))


def rewritten(args: list[str]) -> list[str]:
    """Arguments with ``--encoder <modality>=REF`` in place of ``--<modality>-encoder REF``."""
    found: list[str] = []
    rest = iter(args)
    for arg in rest:
        match = _ENCODER.fullmatch(arg)
        if match is None:
            found.append(arg)
            continue
        reference = match["reference"] or next(rest, "")
        if not reference:
            raise UsageError(f"{arg} needs an encoder: NAME or NAME:ARGUMENT")
        found += ["--encoder", f"{match['modality']}={reference}"]
    return found


def names_of(given: Iterable[str] | None, known: Collection[str]) -> list[str]:
    """Class names from a repeatable flag: a name, in which there may be commas, or several with commas between."""
    return [
        name for text in given or () for name in ([text] if text in known else map(str.strip, text.split(","))) if name
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
