"""xm strategy ``wise-ft``: between the zero-shot and the fitted classifier."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="wise-ft",
            target="xm_probes.wise_ft.strategy:WiseFT",
            summary="linear probe averaged with the zero-shot classifier (Wortsman et al., CVPR 2022)",
        )
    ]
