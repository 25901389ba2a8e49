"""xm aligner ``contrastive``: maps learned by gradient steps on an objective of pairs."""

from __future__ import annotations

from xm import AlignerSpec, hookimpl


@hookimpl
def aligners() -> list[AlignerSpec]:
    return [
        AlignerSpec(
            name="contrastive",
            target="xm_aligners.contrastive.aligner:Contrastive",
            summary="gradient steps on an objective of pairs (InfoNCE …), for one side or both",
            priority=0,
        )
    ]
