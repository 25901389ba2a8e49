"""The image encoder `efficientnet-lite0`."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import IMAGES


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="efficientnet-lite0",
            target="xm_offline.efficientnet.encoder:EfficientNetLite0",
            summary="EfficientNet-Lite0 trained on ImageNet; 1280-d, offline, 1000 named prototypes",
            modality="image",
            suffixes=IMAGES,
            available="xm_offline.efficientnet.weights:why_not",
            priority=10,
        )
    ]
