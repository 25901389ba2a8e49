"""How images become the numbers that a network was trained on: settings, and doing it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import Field, field_validator

from xm.media.images import converted, read_image
from xm.plugins import Config

Pixels = NDArray[np.float32]
"""(channels, height, width)."""

_METHODS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class Pictures(Config):
    """What is done to an image. Defaults are those of most networks that were trained on ImageNet."""

    size: tuple[int, ...] = Field((224,), description="pixels: a side, or height and width; 224 of ImageNet's networks")
    resize: Literal["shortest", "squash", "pad"] = Field(
        "shortest",
        description="shortest: what is over on the longer side is cut off, as torchvision does; squash: both sides to "
        "size; pad: all of it, black beside",
    )
    crop: float = Field(
        1.0, gt=0, le=1, description="part of the resized image that is kept, its middle; 0.875 is 224 of 256"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bicubic", description="of resizing, by Pillow; bicubic as timm's and CLIP's"
    )
    divide: float = Field(255.0, gt=0, description="what values 0 to 255 are divided by; 255 gives 0 to 1")
    mean: tuple[float, ...] = Field(
        (0.485, 0.456, 0.406), description="subtracted after that, one or one a channel; ImageNet's"
    )
    std: tuple[float, ...] = Field((0.229, 0.224, 0.225), description="divided by after that, likewise; ImageNet's")
    channels: Literal["RGB", "BGR", "L"] = Field("RGB", description="their order; L is grey; BGR is OpenCV's")

    @field_validator("size")
    @classmethod
    def _sides(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if len(given) not in (1, 2) or min(given) < 1:
            raise ValueError("expected one side, or height and width, in pixels above 0")
        return given

    @field_validator("mean", "std")
    @classmethod
    def _values(cls, given: tuple[float, ...]) -> tuple[float, ...]:
        if len(given) not in (1, 3):
            raise ValueError("expected one number, or three")
        return given

    @field_validator("std")
    @classmethod
    def _above(cls, given: tuple[float, ...]) -> tuple[float, ...]:
        if min(given) <= 0:
            raise ValueError("expected numbers above 0")
        return given

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what comes out."""
        return (1 if self.channels == "L" else 3), self.size[0], self.size[-1]

    def pixels(self, item: Any) -> Pixels:
        """An image as numbers.

        Args:
            item: what `xm.media.images.read_image` takes; its EXIF orientation is applied.

        Raises:
            ItemError: if it can't be read.
        """
        image = self._sized(converted(read_image(item), "L" if self.channels == "L" else "RGB", item))
        values = np.asarray(image, dtype=np.float32).reshape(*self.shape[1:], -1) / np.float32(self.divide)
        if self.channels == "BGR":
            values = values[..., ::-1]
        mean, std = (np.asarray(some, dtype=np.float32)[: self.shape[0]] for some in (self.mean, self.std))
        return np.ascontiguousarray(((values - mean) / std).transpose(2, 0, 1))

    def _sized(self, image: Image.Image) -> Image.Image:
        """The image at `size`."""
        _, height, width = self.shape
        method = _METHODS[self.interpolation]
        if self.resize == "pad":
            return ImageOps.pad(image, (width, height), method)
        high, wide = (int(side / self.crop + 1e-6) for side in (height, width))  # before the crop
        if self.resize == "shortest":
            factor = max(high / image.height, wide / image.width)
            high, wide = (max(1, int(side * factor + 1e-6)) for side in image.size[::-1])
        image = image.resize((wide, high), method)
        left, top = round((wide - width) / 2), round((high - height) / 2)
        return image.crop((left, top, left + width, top + height))
