"""Texts that are longer than a tower reads are told of."""

from __future__ import annotations

import torch

from xm.encoders import FeatureStore
from xm_openclip.text import TextEncoder


def test_texts_of_more_tokens_are_told_of(registered: str) -> None:
    encoder = TextEncoder(f"{registered}/random:0")
    length = len(encoder.prepare("dog"))
    fits, longer = "dog " * (length - 2), "dog " * (length - 1)
    heard: list[str] = []
    store = FeatureStore(None, listener=lambda event: heard.extend(event.data.get("message", "").splitlines()))
    x = store.features(encoder, [fits, longer, "one " * 500, "rain"]).x["features"]
    told = f"text: 2 of 4 items are longer than the {length} tokens that the encoder reads"
    assert [line.partition(";")[0] for line in heard] == [told]
    torch.testing.assert_close(x[0], x[1])
