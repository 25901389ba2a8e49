"""Pictures in any mode, as open_clip prepares them, and those that it gets wrong."""

from __future__ import annotations

import numpy as np
import open_clip  # type: ignore[import-untyped]
import torch
from PIL import Image, ImageDraw, ImageOps

from xm_openclip.image import ImageEncoder


def test_images_that_hide_nothing_are_as_open_clip_prepares_them(registered: str) -> None:
    """open_clip resizes in the mode an image has, and makes it RGB then."""
    encoder = ImageEncoder(f"{registered}/random:0")
    _, _, transform = open_clip.create_model_and_transforms(registered)
    image = Image.effect_noise((70, 50), 90)
    colours = Image.merge("RGB", [image, image.rotate(90), image.rotate(180)])
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB"):
        one = colours.convert(mode)
        assert torch.equal(encoder.prepare(one), transform(one)), mode
    palette = colours.convert("P")
    palette.info["transparency"] = bytes([255]) * 256
    assert torch.equal(encoder.prepare(palette), transform(colours.convert("P")))


def test_grey_of_16_bits_and_nothing_behind_a_shape(registered: str) -> None:
    encoder = ImageEncoder(f"{registered}/random:0")
    deep = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    assert torch.equal(encoder.prepare(Image.fromarray(deep)), encoder.prepare((deep >> 8).astype(np.uint8)))
    disc = Image.new("L", (64, 64))
    ImageDraw.Draw(disc).ellipse((9, 9, 50, 50), fill=255)
    icon = Image.merge("RGBA", [Image.new("L", disc.size)] * 3 + [disc])
    assert torch.equal(encoder.prepare(icon), encoder.prepare(ImageOps.invert(disc)))
