"""xm aligner ``cca``: canonical correlation analysis of pairs."""

from __future__ import annotations

from xm import AlignerSpec, hookimpl


@hookimpl
def aligners() -> list[AlignerSpec]:
    return [
        AlignerSpec(
            name="cca",
            target="xm_aligners.cca.aligner:Cca",
            summary="regularised canonical correlation analysis of pairs, for one side or both",
            priority=0,
        )
    ]
