"""Images from files, Pillow images and arrays, as EfficientNet-Lite was trained to see them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from xm.media.images import converted, read_image

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
        item: a path, a Pillow image, or a uint8 array (h, w), (h, w, 3) or (h, w, 4).

    Raises:
        ItemError: if it is none of these, can't be read, or its pixels have no fixed range.
    """
    return _prepare(converted(read_image(item), "RGB", item))


def _prepare(image: Image.Image) -> Tensor:
    width, height = image.size
    side = min(width, height) * CROP
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    pixels = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box), dtype=np.float32)
    return torch.from_numpy((pixels - MEAN) / STD).permute(2, 0, 1)
