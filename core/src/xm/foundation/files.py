"""Where files go, and how they are written: whole or not at all."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from xm.foundation.errors import RunError


def cache_dir() -> Path:
    """The cache folder: ``XM_CACHE``, or the platform's place for caches."""
    import platformdirs

    given = os.environ.get("XM_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("xm", appauthor=False))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place on success, and vanishes on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


TEMPORARY = re.compile(r"\..+\.\w{8}")
"""Names that `replacing` writes under."""


def sweep(folder: Path) -> None:
    """Take away what `replacing` left below a folder where a process was killed while it wrote."""
    for path in folder.rglob(".*"):
        if TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def now() -> str:
    """The time, for a record."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors, atomically."""
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with replacing(path) as temporary:
        save_file(plain, temporary, metadata)


def refuse_no_file(path: Path) -> None:
    """Raise a RunError if something is there that is no file: a pipe would be waited for."""
    if path.exists() and not path.is_file():
        raise RunError(f"{path}: is no file")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        RunError: if it is missing or damaged; it names the file.
    """
    try:
        refuse_no_file(path)
        return load_file(path)
    except FileNotFoundError:
        raise RunError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error})") from error
