"""The image encoder `pixels`."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="pixels",
            target="xm_plain.pixels.encoder:Pixels",
            summary="grey pixels of a small picture, 8x8 unless told",
            modality="image",
            suffixes=(".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"),
            argument="side length in pixels, 8 if left out",
        )
    ]
