"""The audio encoder `speech`."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import SOUNDS


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="speech",
            target="xm_offline.speech.encoder:Speech",
            summary="Google's speech embedding, for spoken words; 192-d, offline",
            modality="audio",
            suffixes=SOUNDS,
            looks="xm.media.streams:is_sound",
            argument="length=POLICY, chunks-centre if left out",
            available="xm_offline.speech.weights:why_not",
        )
    ]
