"""xm strategy ``zpe``: sentences around a class name, weighted by unlabelled samples."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="zpe",
            target="xm_zero_shot.zpe.strategy:ZeroShotPromptEnsembling",
            summary="zero-shot, its sentences weighted without labels (Allingham et al., ICML 2023)",
            reclasses=True,
        )
    ]
