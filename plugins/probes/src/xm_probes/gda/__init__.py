"""xm strategy ``gda``: Gaussian discriminant analysis, without training."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="gda",
            target="xm_probes.gda.strategy:GDA",
            summary="Gaussian discriminant analysis and the zero-shot classifier (Wang et al., ICLR 2024)",
        )
    ]
