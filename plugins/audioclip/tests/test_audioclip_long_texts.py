"""Texts that are longer than the text tower reads are told of."""

from __future__ import annotations

from pathlib import Path

from xm.encoders import FeatureStore
from xm_audioclip.clip import TextEncoder


def test_texts_of_more_tokens_are_told_of(checkpoint: Path) -> None:
    encoder = TextEncoder(str(checkpoint))
    length = len(encoder.prepare("dog"))
    heard: list[str] = []
    store = FeatureStore(None, listener=lambda event: heard.extend(event.data.get("message", "").splitlines()))
    store.features(encoder, ["dog " * (length - 2), "dog " * (length - 1), "one " * 500, "rain"])
    told = f"text: 2 of 4 items are longer than the {length} tokens that the encoder reads"
    assert [line.partition(";")[0] for line in heard] == [told]
