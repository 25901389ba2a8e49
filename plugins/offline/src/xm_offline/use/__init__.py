"""The text encoder `use`."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl

LANGUAGES = ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh")
"""That the model was trained on, ISO 639-1; Chinese in both scripts."""


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="use",
            target="xm_offline.use.encoder:Use",
            summary="multilingual Universal Sentence Encoder; 512-d, offline, 16 languages",
            modality="text",
            suffixes=(".txt",),
            available="xm_offline.use.weights:why_not",
            priority=5,
            languages=LANGUAGES,
        )
    ]
