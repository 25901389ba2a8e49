"""CLAP audio and text encoders of LAION, by transformers."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import SOUNDS

ARGUMENT = "ORG/NAME of the Hugging Face hub, or a FOLDER; then ?length=POLICY"


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="laion-clap",
            target="xm_hub.laion_clap.encoder:AudioEncoder",
            summary="CLAP audio towers (LAION); share a space with laion-clap-text",
            modality="audio",
            suffixes=SOUNDS,
            looks="xm.media.streams:is_sound",
            argument=ARGUMENT,
            available="xm_hub.laion_clap.hub:why_not",
        ),
        EncoderSpec(
            name="laion-clap-text",
            target="xm_hub.laion_clap.encoder:TextEncoder",
            summary="CLAP text towers (LAION); share a space with laion-clap",
            modality="text",
            suffixes=(".txt",),
            argument=ARGUMENT,
            available="xm_hub.laion_clap.hub:why_not",
        ),
    ]
