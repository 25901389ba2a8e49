"""xm strategy ``lp++``: a linear probe that blends in the class names."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="lp++",
            target="xm_probes.lp_plus_plus.strategy:LPPlusPlus",
            summary="linear probe with a text multiplier a class, no learning rate (Huang et al., CVPR 2024)",
        )
    ]
