"""xm strategy ``fpl``: few pseudo-labels, for any other strategy to learn from."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="fpl",
            target="xm_unlabelled.fpl.strategy:FewPseudoLabels",
            summary="unlabelled items join the samples of another strategy, labelled by names (Menghini et al., 2023)",
            needs_unlabelled=True,
        )
    ]
