"""Text encoders of sentence-transformers, by name, and the image towers of those that have one."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import IMAGES

ARGUMENT = "ORG/NAME[@REVISION] of the hub, or a FOLDER; then ?prompt=NAME, ?prefix=TEXT, &code=trust"


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="sentence-transformers",
            target="xm_hub.sentence_transformers.encoder:TextEncoder",
            summary="every text model of sentence-transformers, with its prompts; by name",
            modality="text",
            suffixes=(".txt",),
            argument=ARGUMENT,
        ),
        EncoderSpec(
            name="sentence-transformers-image",
            target="xm_hub.sentence_transformers.encoder:ImageEncoder",
            summary="image towers of sentence-transformers; share a space with sentence-transformers",
            modality="image",
            suffixes=IMAGES,
            argument=ARGUMENT,
        ),
    ]
