"""What a run says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from xm.encoders.reference import Way
from xm.evaluation.report import Result
from xm.foundation.errors import RunError
from xm.foundation.layout import ALIGNMENT, FORMAT, INDEX
from xm.foundation.reading import formed, inside, read_json


class _Settings(BaseModel):
    """Those of training that its models are made again by."""

    modality: str
    strategy: str
    set: dict[str, Any] | None = None
    metric: str
    predictor: str | None = None
    predictor_set: dict[str, Any] | None = None
    aligner_set: dict[str, Any] | None = None
    data: str | None = None


class _Names(Way):
    """How class names were read."""

    modality: str
    templates: list[str]
    dim: int


class _Start(BaseModel):
    """A run that it started from."""

    known: bool


class _Index(BaseModel):
    """What is looked up in ``xm.json`` of a run; it holds more."""

    dataset: str
    classes: list[str] = Field(min_length=1)
    settings: _Settings
    ways: dict[str, Way] = Field(min_length=1)
    results: list[Result] = Field(min_length=1)
    names: _Names | None = None
    namer: str | None = None
    readers: dict[str, str | None] = {}
    tasks: dict[str, str] = {}
    contents: dict[str, str] = {}
    tests: dict[str, str] = {}
    place: str | None = None
    start: list[_Start] = []
    notes: list[str] = []
    versions: dict[str, str] = {}


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a run of ``xm train``; every model that it names is in the folder.

    Raises:
        RunError: if it is none, is damaged, or was written by another format of xm.
    """
    path = inside(folder, INDEX)
    try:
        index = read_json(path)
    except RunError as error:
        if path.is_file():
            raise
        why = str(error).removeprefix(f"{path}: ")
        raise RunError(f"{folder}: not a run folder ({INDEX}: {why})") from None
    found = index.get("format") if isinstance(index, dict) else None
    if found != FORMAT:
        raise RunError(
            f"{path}: format {found!r}, but this xm reads {FORMAT}; train again, or install the xm that wrote it"
        )
    if index.get("kind") == ALIGNMENT:
        raise RunError(
            f"{folder}: is an alignment, not a classifier; name it as an encoder: --<modality>-encoder {folder}"
        )
    missing = [key for key in ("classes", "dataset", "results", "settings", "ways") if not index.get(key)]
    if missing:
        raise RunError(f"{path}: damaged (without {', '.join(missing)})")
    for result in formed(path, _Index, index).results:
        inside(folder, result.model)
    known: dict[str, Any] = index
    return known
