"""xm aligner ``names``: class names as the bridge between spaces."""

from __future__ import annotations

from xm import AlignerSpec, hookimpl


@hookimpl
def aligners() -> list[AlignerSpec]:
    return [
        AlignerSpec(
            name="names",
            target="xm_aligners.names.aligner:Names",
            summary="through the class names of the encoders' own classifiers; needs no pairs",
            priority=10,
        )
    ]
