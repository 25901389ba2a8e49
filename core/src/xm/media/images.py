"""Images from files, Pillow images and arrays."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from xm.data.content import item_name
from xm.data.member import Member, opened
from xm.data.types import View
from xm.data.views import VIEWS as VIEWS, seen as seen_by
from xm.foundation.errors import ItemError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
"""Of the files that Pillow reads and users have."""

_LAZY = Lock()
"""Held while a Pillow image is decoded: the same one may be in a batch twice, in two threads."""


def read_image(item: Any, *, upright: bool = True) -> Image.Image:
    """One image, decoded, in the mode it has; safe to call from several threads.

    Args:
        item: a path, a member of a tar, a Pillow image, a uint8 array (h, w), (h, w, 3) or (h, w, 4), or a view of one.
        upright: turn it as its EXIF orientation says.

    Raises:
        ItemError: if it is none of these, or can't be read.
    """
    if isinstance(item, View):
        return seen(read_image(item.item, upright=upright), item)
    if isinstance(item, np.ndarray):
        return _from_array(item)
    if not isinstance(item, str | Path | Member | Image.Image):
        raise ItemError(item_name(item), "is no image; give a path, a Pillow image or a uint8 array")
    name = item if isinstance(item, str) else item_name(item)
    try:
        if isinstance(item, Image.Image):
            with _LAZY:
                item.load()
            return _turned(item, upright)
        with Image.open(opened(item)) as image:
            image.load()
            return _turned(image, upright)
    except (FileNotFoundError, IsADirectoryError):
        raise ItemError(name, "no such file") from None
    except UnidentifiedImageError as error:
        raise ItemError(name, "is not an image that Pillow reads") from error
    except Exception as error:  # decoders raise many kinds on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ItemError(name, f"is damaged ({reason})") from error


def seen(image: Image.Image, view: View) -> Image.Image:
    """A decoded image in a view, of those that are registered for images.

    Raises:
        ItemError: if there is none of that kind.
    """
    found: Image.Image = seen_by("image", image, view)
    return found


def flip(image: Image.Image, view: View) -> Image.Image:
    """The view "flip": the mirror image."""
    return ImageOps.mirror(image)


def crop(image: Image.Image, view: View) -> Image.Image:
    """The views "crop1", "crop2" …: squares of the short side, the views of Lin et al. (CVPR 2023) before resizing.

    A square lies anywhere along the long side and is mirrored in half of the cases. Content and name decide, so it is
    the same on every machine.
    """
    draw = view.draw(image.resize((8, 8)).tobytes())
    side = min(image.size)
    left, top = draw.randint(0, image.width - side), draw.randint(0, image.height - side)
    part = image.crop((left, top, left + side, top + side))
    return ImageOps.mirror(part) if draw.random() < 0.5 else part


def _turned(image: Image.Image, upright: bool) -> Image.Image:
    return ImageOps.exif_transpose(image) if upright else image


def _from_array(array: np.ndarray[Any, Any]) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 3
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (3, 4) or not array.size:
        raise ItemError(item_name(array), "expected uint8 of shape (h, w), (h, w, 3) or (h, w, 4)")
    return Image.fromarray(array)
