"""Reading folders that anyone may have written: nothing outside them, and nothing of another form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from xm.foundation.errors import RunError, described
from xm.foundation.files import read_tensors, refuse_no_file

T = TypeVar("T")

UNFIT = (IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""What tensors raise that do not fit where they are put; so does lack of memory, which is another thing."""


def inside(folder: Path, *names: str | Path) -> Path:
    """The path of something below a folder.

    Args:
        folder: as it is named; it may be a link itself.
        names: as the folder's own files name it.

    Raises:
        RunError: if the path leads out of the folder, by its words or by a link.
    """
    path = folder.joinpath(*names)
    try:
        path.exists()
        leads_out = not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long, a NUL
        raise RunError(f"{folder}: damaged ({str(path)!r} is no path: {described(error)})") from None
    if leads_out:
        raise RunError(f"{folder}: refused, since {str(Path(*names))!r} leads out of it; put the file itself there")
    return path


def read_json(path: Path) -> Any:
    """Plain values of a file.

    Raises:
        RunError: if it is missing, no file, or damaged.
    """
    try:
        refuse_no_file(path)
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or type(error).__name__}") from None
    except RecursionError:
        raise RunError(f"{path}: damaged (nested too deeply)") from None
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error})") from None


def formed(path: Path, kind: type[T], values: Any) -> T:
    """Plain values as a type, whose form they must have.

    Raises:
        RunError: that says where they differ.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "its value"
        raise RunError(f"{path}: damaged ({place}: {first['msg']})") from None
    except RecursionError:
        raise RunError(f"{path}: damaged (nested too deeply)") from None


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of something that was fitted.

    Raises:
        RunError: if the file is missing or damaged, or one holds NaN.
    """
    found = read_tensors(path)
    for name, value in found.items():
        if value.is_floating_point() and bool(torch.isnan(value).any()):
            raise RunError(f"{path}: damaged ({name} holds NaN)")
    return found
