"""Images from files, Pillow images and arrays."""

from __future__ import annotations

import warnings
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
from xm.media import _pixels
from xm.media.suffixes import IMAGES

SUFFIXES = IMAGES
"""Of the files that are read as images."""

_LAZY = Lock()
"""Held while a Pillow image is decoded: the same one may be in a batch twice, in two threads."""

# What Pillow warns of, without the file's name, is read, or refused here by an error that has it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def read_image(item: Any, *, upright: bool = True, deep: bool = False) -> Image.Image:
    """One image, decoded, with 8 bits a channel and nothing transparent; safe to call from several threads.

    Grey images of 16 bits have their upper bytes kept. What is transparent is laid over white, as viewers show it.
    Else an image is in the mode it has: "L", "RGB", "P", "CMYK", "LAB" …

    Args:
        item: a path, a member of a tar, a Pillow image, a uint8 array (h, w), (h, w, 3) or (h, w, 4), or a view of one.
        upright: turn it as its EXIF orientation says.
        deep: leave grey values of more than 8 bits as they are, for an encoder that sets their range itself.

    Raises:
        ItemError: if it is none of these, can't be read, is too large, transparent all over, or, unless `deep`, its
            values have no fixed range (modes I and F).
    """
    if isinstance(item, View):
        return seen(read_image(item.item, upright=upright, deep=deep), item)
    if isinstance(item, np.ndarray):
        return _pixels.settled(_from_array(item), item_name(item), None, deep)
    if not isinstance(item, str | Path | Member | Image.Image):
        raise ItemError(item_name(item), "is no image; give a path, a Pillow image or a uint8 array")
    name = item if isinstance(item, str) else item_name(item)
    try:
        if isinstance(item, Image.Image):
            with _LAZY:
                item.load()
            return _pixels.settled(_turned(item, upright), name, item.format, deep)
        with _pixels.open_image(opened(item), name) as image:
            image.load()
            return _pixels.settled(_turned(image, upright), name, image.format, deep)
    except ItemError:
        raise
    except (FileNotFoundError, IsADirectoryError):
        raise ItemError(name, "no such file") from None
    except UnidentifiedImageError as error:
        raise ItemError(name, "is not an image that Pillow reads") from error
    except Exception as error:  # decoders raise many kinds on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ItemError(name, f"is damaged ({reason})") from error


def converted(image: Image.Image, mode: str, item: Any) -> Image.Image:
    """A decoded image in another mode, "RGB" or "L"; by way of RGB where Pillow knows no other.

    Raises:
        ItemError: naming the item, if there is none.
    """
    try:
        return image.convert("RGB").convert(mode) if image.mode == "LAB" else image.convert(mode)
    except ValueError as error:
        name = item if isinstance(item, str) else item_name(item)
        raise ItemError(name, f"its pixels of mode {image.mode} can't be made {mode}; save it as RGB") from error


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
