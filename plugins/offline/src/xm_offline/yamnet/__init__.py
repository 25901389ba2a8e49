"""The audio encoder `yamnet`."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import SOUNDS


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="yamnet",
            target="xm_offline.yamnet.encoder:YamNet",
            summary="YAMNet trained on AudioSet; 1024-d, offline, 521 named prototypes",
            modality="audio",
            suffixes=SOUNDS,
            looks="xm.media.streams:is_sound",
            argument="length=POLICY, chunks-pad if left out",
            available="xm_offline.yamnet.weights:why_not",
            priority=10,
        )
    ]
