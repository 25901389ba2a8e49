"""Image encoders of timm, by name."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import IMAGES

ARGUMENT = "MODEL[.TAG], ORG/NAME[@REVISION] of the hub, FOLDER, MODEL/FILE.safetensors or MODEL/random:SEED"


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="timm",
            target="xm_hub.timm.encoder:encoder",
            summary="every image model of timm, features before the head; by name",
            modality="image",
            suffixes=IMAGES,
            argument=ARGUMENT,
        )
    ]
