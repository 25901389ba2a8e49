"""CLIP image and text encoders, by open_clip."""

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import IMAGES

ARGUMENT = "MODEL/TAG, MODEL/CHECKPOINT.safetensors, hf-hub:ORG/NAME, local-dir:FOLDER or MODEL/random:SEED"


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="openclip",
            target="xm_openclip.image:ImageEncoder",
            summary="CLIP image towers (open_clip); share a space with openclip-text",
            modality="image",
            suffixes=IMAGES,
            argument=ARGUMENT,
            available="xm_openclip.available:image",
            priority=20,
        ),
        EncoderSpec(
            name="openclip-text",
            target="xm_openclip.text:TextEncoder",
            summary="CLIP text towers (open_clip); share a space with openclip",
            modality="text",
            suffixes=(".txt",),
            argument=ARGUMENT,
            available="xm_openclip.available:text",
            priority=20,
        ),
    ]
