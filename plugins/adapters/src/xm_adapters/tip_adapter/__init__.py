"""xm strategies ``tip-adapter`` and ``tip-adapter-f``: a cache of the samples beside the zero-shot classifier."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="tip-adapter",
            target="xm_adapters.tip_adapter.strategy:TipAdapter",
            summary="zero-shot plus a cache of the samples, training-free (Zhang et al., ECCV 2022)",
            reclasses=True,
        ),
        StrategySpec(
            name="tip-adapter-f",
            target="xm_adapters.tip_adapter.training:TipAdapterF",
            summary="Tip-Adapter with the cache's keys trained (Zhang et al., ECCV 2022)",
            reclasses=True,
        ),
    ]
