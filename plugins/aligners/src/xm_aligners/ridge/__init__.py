"""xm aligner ``ridge``: a linear map from pairs."""

from __future__ import annotations

from xm import AlignerSpec, hookimpl


@hookimpl
def aligners() -> list[AlignerSpec]:
    return [
        AlignerSpec(
            name="ridge",
            target="xm_aligners.ridge.aligner:Ridge",
            summary="ridge regression from one space into another, from pairs of items",
            priority=20,
        )
    ]
