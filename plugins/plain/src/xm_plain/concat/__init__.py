"""The encoder `concat`: several encoders of one modality as one."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.plugins import ANY


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="concat",
            target="xm_plain.concat.encoder:Concat",
            summary="several encoders of one modality, their vectors side by side",
            modality=ANY,
            argument="ENCODER[*WEIGHT]+ENCODER[*WEIGHT]…",
            available="xm_plain.concat.available:why_not",
        )
    ]
