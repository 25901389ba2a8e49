"""Views of images, at the strengths of ImageNet-C (Hendrycks and Dietterich, ICLR 2019).

Its five severities, by view; the third is what is taken if none is given:

- noise: 0.08, 0.12, 0.18, 0.26, 0.38
- blur: 1, 2, 3, 4, 6
- jpeg: 25, 18, 15, 10, 7
- brightness: 0.1, 0.2, 0.3, 0.4, 0.5
- contrast: 0.4, 0.3, 0.2, 0.1, 0.05
"""

from __future__ import annotations

import math
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from xm.data import View

SIDE = 224
"""The short side of ImageNet-C's images: a larger image is brought to it, so that a strength means the same for it."""
RATIOS = 3 / 4, 4 / 3
"""Width to height of the parts that `zoom` takes."""
TRIES = 10
"""After which `zoom` takes the whole image; both as of torchvision's RandomResizedCrop."""

Pixels = NDArray[np.float64]


def noise(image: Image.Image, view: View) -> Image.Image:
    """Gaussian noise, of another draw for each name and image."""
    small = _small(image)
    pixels = _pixels(small)
    draw = np.random.default_rng(view.draw(_content(image)).getrandbits(64))
    return _image(pixels + _strength(view, 0.18) * draw.standard_normal(pixels.shape))


def blur(image: Image.Image, view: View) -> Image.Image:
    """Gaussian blur, by Pillow."""
    small = _small(image)
    return small.filter(ImageFilter.GaussianBlur(_strength(view, 3) * min(small.size) / SIDE))


def jpeg(image: Image.Image, view: View) -> Image.Image:
    """Compressed and read again, by Pillow."""
    file = BytesIO()
    _small(image).save(file, "JPEG", quality=round(_strength(view, 15)))
    with Image.open(file) as found:
        found.load()
        return found.copy()


def brightness(image: Image.Image, view: View) -> Image.Image:
    """HSV's value, raised."""
    small = _small(image)
    hue, saturation, value = small.convert("RGB").convert("HSV").split()
    added = 255 * _strength(view, 0.3)
    value = value.point([min(255, max(0, round(level + added))) for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB").convert(small.mode)


def contrast(image: Image.Image, view: View) -> Image.Image:
    """Brought nearer to the image's mean colour."""
    pixels = _pixels(_small(image))
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    return _image(mean + _strength(view, 0.2) * (pixels - mean))


def zoom(image: Image.Image, view: View) -> Image.Image:
    """The parts "zoom1", "zoom2" … of an image: of a random share of its area, a random shape and place.

    Drawn as GoogLeNet's crops were (Szegedy et al., CVPR 2015; torchvision's RandomResizedCrop), and mirrored in half
    of the cases. It is not resized: encoders do that.
    """
    draw = view.draw(_content(image))
    mirrored, area = draw.random() < 0.5, image.width * image.height
    left, top, width, height = 0, 0, *image.size
    for _ in range(TRIES):
        part = area * draw.uniform(_strength(view, 0.5), 1)
        ratio = math.exp(draw.uniform(*map(math.log, RATIOS)))
        wide, high = max(1, round(math.sqrt(part * ratio))), max(1, round(math.sqrt(part / ratio)))
        if wide <= image.width and high <= image.height:
            left, top = draw.randint(0, image.width - wide), draw.randint(0, image.height - high)
            width, height = wide, high
            break
    found = image.crop((left, top, left + width, top + height))
    return ImageOps.mirror(found) if mirrored else found


def _strength(view: View, default: float) -> float:
    return float(view.params.get("strength", default))


def _content(image: Image.Image) -> bytes:
    """Something of the image, which is the same on every machine."""
    return image.resize((8, 8)).tobytes()


def _small(image: Image.Image) -> Image.Image:
    """Grey or in colour, with 8 bits a channel, of a short side of `SIDE` at most.

    Pixels without a fixed range (of 16 bits, or floats) are scaled so that the brightest is 255.
    """
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        values = values - min(float(values.min()), 0.0)
        image = _image(values[..., None] / (float(values.max()) or 1.0))
    image = image if image.mode == "L" else image.convert("RGB")
    scale = SIDE / min(image.size)
    if scale >= 1:
        return image
    width, height = (max(SIDE, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _pixels(image: Image.Image) -> Pixels:
    """(h, w, channels) in 0..1."""
    array = np.asarray(image, dtype=np.float64) / 255
    return array if array.ndim == 3 else array[..., None]


def _image(pixels: Pixels) -> Image.Image:
    """Of pixels (h, w, 1 or 3), which are clipped to 0..1."""
    array = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
