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
Templates = Annotated[
    list[str] | None,
    typer.Option(
        "--template", "--templates", metavar="TEXT", help="Sentence with {} for the class, or a name; repeatable."
    ),
]
Descriptions = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Texts by class name, beside the names: JSON, a table class,text, or a folder."),
]
DescriptionsAs = Annotated[
    str | None,
    typer.Option(
        metavar="texts|samples|templates",
        help="What descriptions are: both of samples in train, and sentences beside the names in classifiers of these.",
    ),
]
Unseen = Annotated[
    str | None,
    typer.Option(
        metavar="half|N|FILE",
        help="Classes without a sample of the target in train and val: the second half, N by seed, or names.",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SPLIT.NAME=VALUE",
        help="The target's samples with that metadata, of train or test; test.NAME=A,B a row each; repeatable.",
    ),
]
AlignerName = Annotated[str | None, typer.Option(metavar="NAME", help="Between spaces; else the first that applies.")]
Features = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Instead of --data: precomputed features, .npz or .safetensors."),
]
Reader = Annotated[
    str | None,
    typer.Option("--reader", metavar="NAME", help="The reader that opens the data, where several could."),
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="label=NAME,…", help="What columns of a table are: path=file,label=kind."),
]
"""With `Reader`, of a command that takes data; see `source_of`."""
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


def source_of(
    data: str | None, features: Path | None = None, reader: str | None = None, columns: str | None = None
) -> str | None:
    """The data, as `xm.data.open_dataset` takes it: "READER:PATH?label=kind".

    Raises:
        UsageError: if both flags for data are given, or a flag for what is not given; for a file of features of
            another kind, an unknown reader, and what names no column.
    """
    if features is not None:
        if data is not None:
            raise UsageError("--data and --features exclude each other")
        if features.suffix.lower() not in (".npz", ".safetensors"):
            raise UsageError(f"--features {features}: it should be a .npz or .safetensors file")
        data = str(features)
    for flag, value in (("reader", reader), ("columns", columns)):
        if value is not None and data is None:
            raise UsageError(f"--{flag} {value}: of what data? Name a folder or file with them")
    if reader is not None:
        _check_reader(reader)
        data = f"{reader}:{data}"
    return data if columns is None else f"{data}?{_query(columns)}"


def _check_reader(name: str) -> None:
    from xm.foundation import unknown
    from xm.plugins import manager

    readers = [spec.name for spec in manager().datasets.values() if spec.opens]
    if name not in readers:
        raise UsageError(f"--reader {name}: {unknown('reader', name, readers)}")


def _query(columns: str) -> str:
    from urllib.parse import urlencode

    from xm.data import COLUMNS, is_column

    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, columns.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not is_column(name.strip()):
            known = ", ".join(COLUMNS)
            raise UsageError(f"--columns {part}: expected COLUMN=NAME, such as label=category (columns: {known})")
        found[name.strip()] = value.strip()
    return urlencode(found)
