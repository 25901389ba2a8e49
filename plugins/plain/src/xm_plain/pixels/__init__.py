"""The image encoder `pixels`."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import IMAGES


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="pixels",
            target="xm_plain.pixels.encoder:Pixels",
            summary="grey pixels of a small picture, 8x8 unless told",
            modality="image",
            suffixes=IMAGES,
            argument="side length in pixels, 8 if left out",
        )
    ]
