"""Items by content and by name: keys for caches, names for messages and tables."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from xm.data.member import File, Member
from xm.data.types import View
from xm.foundation.errors import ItemError, UsageError

_CHUNK = 1 << 20
_SHOWN = 60


def content_key(item: Any) -> str:
    """32 hex digits over what an item holds; equal content, equal key, on any machine.

    A path or a member of a tar stands for its bytes (its name does not matter), a string for itself (never for a
    file), an array for dtype, shape and values, an image of Pillow for mode, size and pixels, a tuple for its parts.

    Raises:
        ItemError: for a file that can't be read.
        UsageError: for an item of another type.
    """
    digest = hashlib.blake2b(digest_size=16)
    _update(digest, item)
    return digest.hexdigest()


def _update(digest: hashlib.blake2b, item: Any) -> None:
    if isinstance(item, Path | Member):
        digest.update(b"file:")
        _update_file(digest, item)
    elif isinstance(item, str):
        _update_bytes(digest, "text", item.encode("utf-8", "surrogatepass"))
    elif isinstance(item, bytes | bytearray):
        _update_bytes(digest, "bytes", bytes(item))
    elif isinstance(item, bool | int | float):
        _update_bytes(digest, type(item).__name__, repr(item).encode())
    elif isinstance(item, View):
        _update_bytes(digest, f"view {item.name}", content_key(item.item).encode())
        for name, value in sorted(item.params.items()):
            _update_bytes(digest, f"param {name}", content_key(value).encode())
    elif isinstance(item, tuple | list):
        digest.update(f"tuple {len(item)}:".encode())
        for part in item:
            _update_bytes(digest, "part", content_key(part).encode())
    elif _is_image(item):
        palette = item.getpalette() if item.mode == "P" else None
        _update_bytes(digest, f"image {item.mode} {item.size} {palette}", item.tobytes())
    elif hasattr(item, "__array__"):
        _update_array(digest, item)
    else:
        raise UsageError(
            f"an item of type {type(item).__name__} can't be told by its content; "
            "use a path, a string, bytes, an array, a Pillow image or a tuple of these"
        )


def _update_bytes(digest: hashlib.blake2b, kind: str, data: bytes) -> None:
    digest.update(f"{kind} {len(data)}:".encode())
    digest.update(data)


def _update_file(digest: hashlib.blake2b, item: File) -> None:
    try:
        with item.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except FileNotFoundError:
        raise ItemError(item, "no such file") from None
    except OSError as error:
        raise ItemError(item, f"can't be read: {error.strerror or error}") from error


def _update_array(digest: hashlib.blake2b, item: Any) -> None:
    import numpy as np

    array = np.ascontiguousarray(item)
    if array.dtype.hasobject:
        raise UsageError("an array of Python objects can't be told by its content; use one of numbers")
    _update_bytes(digest, f"array {array.dtype.str} {np.shape(item)}", array.tobytes())


def _is_image(item: Any) -> bool:
    """Whether it is an image of Pillow; if Pillow was never imported, it is not."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(item, pillow.Image)


def item_name(item: Any) -> str:
    """What to call an item: the path as given, the text (60 characters of it), or ``<array 8x8 uint8>``.

    A member of a tar is called as if the tar were a folder.
    """
    if isinstance(item, Path | Member):
        return str(item)
    if isinstance(item, str):
        line = " ".join(item.split())
        return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
    if isinstance(item, View):
        return f"{item_name(item.item)} ({item.text})"
    return f"<{_described(item)}>"


def _described(item: Any) -> str:
    if isinstance(item, tuple | list):
        return ", ".join(_described(part) for part in item)
    if isinstance(item, bool | int | float):
        return str(item)
    if isinstance(item, bytes | bytearray):
        return f"bytes {len(item)}"
    if _is_image(item):
        return f"image {item.width}x{item.height} {item.mode}"
    if hasattr(item, "shape") and hasattr(item, "dtype"):
        return f"array {'x'.join(map(str, item.shape))} {item.dtype}"
    return type(item).__name__


def identity(item: Any) -> Hashable:
    """Equal for the same file (by absolute path; in a tar too) and for the same text; else for the same object only."""
    if isinstance(item, Path | Member):
        return ("file", os.path.abspath(str(item)))  # noqa: PTH100 - unlike Path.absolute it is normal
    return ("text", item) if isinstance(item, str) else ("object", id(item))
