"""xm strategy ``zero-shot``: a classifier from the auxiliary modalities alone."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="zero-shot",
            target="xm_zero_shot.zero_shot.strategy:ZeroShot",
            summary="class means of the auxiliary modalities, no sample of the target (Radford et al., ICML 2021)",
            baseline=True,
            needs_target=False,
            reclasses=True,
        )
    ]
