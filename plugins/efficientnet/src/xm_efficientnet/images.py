"""Images from files, Pillow images and arrays, as EfficientNet-Lite was trained to see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from xm.errors import ItemError

SIZE = 224
CROP = 224 / 256
"""Side of the centre crop over the shorter side of the image: resize to 256, crop 224."""
MEAN, STD = 127.0, 128.0
"""Of the pixel values 0–255, all channels. This and the crop: tensorflow/tpu, models/official/efficientnet/lite."""

SETTINGS = f"rgb, exif-transposed, centre crop {CROP} of the short side, bicubic {SIZE}, ({MEAN}, {STD})"
"""The preprocessing in words, for the fingerprint."""


def image_tensor(item: Any) -> Tensor:
    """One image as (3, 224, 224), float32.

    Args:
        item: a path, a Pillow image, or a uint8 array (h, w) or (h, w, 3).

    Raises:
        ItemError: if it is none of these or can't be read.
    """
    if isinstance(item, np.ndarray):
        return _prepare(_from_array(item))
    if isinstance(item, Image.Image):
        return _prepare(_to_rgb(item, item))
    if isinstance(item, str | Path):
        return _prepare(_from_file(item))
    raise ItemError(f"{type(item).__name__} item", "not an image; give a path, a Pillow image or a uint8 array")


def _from_file(path: str | Path) -> Image.Image:
    if not Path(path).is_file():
        raise ItemError(path, "no such file")
    try:
        with Image.open(path) as image:
            return _to_rgb(image, path)
    except ItemError:
        raise
    except Exception as error:  # decoders raise many kinds on damaged files
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "not an image that Pillow reads" if unknown else f"damaged image ({error})"
        raise ItemError(path, reason.replace("\n", " ")) from error


def _from_array(array: np.ndarray[Any, Any]) -> Image.Image:
    said = f"array {array.shape} {array.dtype}"
    if array.dtype != np.uint8:
        raise ItemError(said, "pixel values must be uint8, 0 to 255")
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise ItemError(said, "an image has the shape (h, w) or (h, w, 3), and at least one pixel")
    return Image.fromarray(array).convert("RGB")


def _to_rgb(image: Image.Image, item: Any) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        raise ItemError(item, f"pixels of mode {image.mode} have no fixed range; save it with 8 bits a channel")
    return ImageOps.exif_transpose(image).convert("RGB")


def _prepare(image: Image.Image) -> Tensor:
    width, height = image.size
    side = min(width, height) * CROP
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    pixels = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box), dtype=np.float32)
    return torch.from_numpy((pixels - MEAN) / STD).permute(2, 0, 1)
