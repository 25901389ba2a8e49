"""The audio encoder `yamnet`."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="yamnet",
            target="xm_offline.yamnet.encoder:YamNet",
            summary="YAMNet trained on AudioSet; 1024-d, offline, 521 named prototypes",
            modality="audio",
            suffixes=(".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"),
            argument="length=POLICY, chunks-pad if left out",
            available="xm_offline.yamnet.weights:why_not",
            priority=10,
        )
    ]
