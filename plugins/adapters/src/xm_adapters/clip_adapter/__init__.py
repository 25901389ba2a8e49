"""xm strategy ``clip-adapter``: a bottleneck mixed into the features, before a classifier made from class names."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="clip-adapter",
            target="xm_adapters.clip_adapter.strategy:ClipAdapter",
            summary="bottleneck mixed into the features (Gao et al., IJCV 2023; cross-modal: Lin et al., CVPR 2023)",
        )
    ]
