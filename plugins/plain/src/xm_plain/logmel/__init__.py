"""The audio encoder `logmel`."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import SOUNDS


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="logmel",
            target="xm_plain.logmel.encoder:LogMel",
            summary="log-mel picture of a short sound, such as a spoken word",
            modality="audio",
            suffixes=SOUNDS,
            looks="xm.media.streams:is_sound",
            argument="mel bins and time frames, 40x16 if left out; then ?length=POLICY",
            priority=1,
        )
    ]
