"""From a file to pixels that mean the same to every encoder: how deep, how opaque, how large."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from xm.foundation.errors import ItemError

_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Brands of files that pillow-heif reads."""
_SCALES = (2, 4, 8)
"""Fractions at which JPEGs can be decoded."""
_OF_16_BITS = ("PNG", "PPM")
"""Formats whose grey images of 16 bits some versions of Pillow open in mode I."""


def open_image(source: Path | BytesIO, name: str) -> Image.Image:
    """The open image, not decoded yet; a JPEG that is too large is decoded at a fraction of its size.

    Raises:
        ItemError: if it is too large, or needs pillow-heif.
        OSError: as Pillow does.
    """
    try:
        return Image.open(source)
    except UnidentifiedImageError:
        if not _is_heif(source):
            raise
        if find_spec("pillow_heif") is None:
            raise ItemError(name, "is a HEIC picture, which needs pillow-heif; try: pip install pillow-heif") from None
        import_module("pillow_heif").register_heif_opener()
        return Image.open(source)
    except Image.DecompressionBombError as error:
        count = int(next(iter(re.findall(r"\d+", str(error))), 0))
        return _at_a_fraction(source, name, count)


def _is_heif(source: Path | BytesIO) -> bool:
    if isinstance(source, Path):
        with source.open("rb") as file:
            start = file.read(12)
    else:
        start = source.getvalue()[:12]
    return start[4:8] == b"ftyp" and start[8:] in _HEIF


def _at_a_fraction(source: Path | BytesIO, name: str, count: int) -> Image.Image:
    """A JPEG of more pixels than Pillow takes. A progressive one would be held whole, whatever the fraction."""
    most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    if not isinstance(source, Path):
        source.seek(0)
    try:
        image = JpegImageFile(source)
    except SyntaxError:  # another format, of which nothing can be left out in decoding
        image = None
    if image is not None and "progressive" not in image.info:
        width, height = image.size
        for scale in _SCALES:
            if width * height <= most * scale**2:
                image.draft(None, (width // scale, height // scale))
                return image
    millions = f"{count / 1e6:,.0f} million pixels (limit {most / 1e6:,.0f} million)"
    raise ItemError(name, f"is too large: {millions}; save a smaller copy, or parts of it")


def settled(image: Image.Image, name: str, form: str | None, deep: bool) -> Image.Image:
    """A decoded image with 8 bits a channel, nothing transparent; an image that is so already is returned as it is.

    Args:
        image: in any mode.
        name: for messages.
        form: the file's format, as Pillow calls it; None if it is of no file.
        deep: leave values of more than 8 bits as they are.

    Raises:
        ItemError: if its values have no fixed range and it is not to be left `deep`, or it is transparent all over.
    """
    if image.mode.startswith(("I", "F")):
        return image if deep else _shallow(image, name, form)
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image
    seen = image.convert("RGBA")
    alpha = np.asarray(seen.getchannel("A"))
    least, most = int(alpha.min()), int(alpha.max())
    if most == 0:
        raise ItemError(name, "is transparent all over, so nothing of it is seen; save it without transparency")
    if least == 255 and image.mode in ("1", "L", "P", "RGB"):
        opaque = image.copy()
        del opaque.info["transparency"]
        return opaque
    if least < 255:
        white = Image.new("RGBA", seen.size, "white")
        white.alpha_composite(seen)
        seen = white
    found = seen.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB")
    found.info.update({key: value for key, value in image.info.items() if key != "transparency"})
    return found


def _shallow(image: Image.Image, name: str, form: str | None) -> Image.Image:
    """The upper bytes of grey values of 16 bits."""
    if not (image.mode.startswith("I;16") or (image.mode == "I" and form in _OF_16_BITS)):
        raise ItemError(name, f"pixels of mode {image.mode} have no fixed range; save it with 8 bits a channel")
    values = np.asarray(image)
    found = Image.fromarray((values.clip(0, 65535) >> 8).astype(np.uint8))
    found.info.update(image.info)
    hidden = found.info.pop("transparency", None)  # one value of 16 bits, of PNG
    if isinstance(hidden, int):
        found.paste(255, mask=Image.fromarray(values == hidden))
    return found
