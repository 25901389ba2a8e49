"""The text encoder `minilm`."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="minilm",
            target="xm_offline.minilm.encoder:MiniLM",
            summary="all-MiniLM-L6-v2 sentence embeddings; 384-d, offline, English",
            modality="text",
            suffixes=(".txt",),
            available="xm_offline.minilm.weights:why_not",
            priority=10,
            languages=("en",),
        )
    ]
