"""The encoder `mean`: several encoders of one space as one."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.plugins import ANY


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="mean",
            target="xm_plain.mean.encoder:Mean",
            summary="several encoders of one space, the mean of their vectors",
            modality=ANY,
            argument="ENCODER[*WEIGHT]+ENCODER[*WEIGHT]…",
            available="xm_plain.mean.available:why_not",
        )
    ]
