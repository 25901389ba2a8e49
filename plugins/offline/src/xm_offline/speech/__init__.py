"""The audio encoder `speech`."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="speech",
            target="xm_offline.speech.encoder:Speech",
            summary="Google's speech embedding, for spoken words; 192-d, offline",
            modality="audio",
            suffixes=(".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"),
            argument="length=POLICY, chunks-centre if left out",
            available="xm_offline.speech.weights:why_not",
        )
    ]
