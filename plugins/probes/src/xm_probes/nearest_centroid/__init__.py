"""xm strategy ``nearest-centroid``: the nearest class mean."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="nearest-centroid",
            target="xm_probes.nearest_centroid.strategy:NearestCentroid",
            summary="cosine to the mean of a class's samples, of all modalities",
        )
    ]
