"""xm strategies ``coop``, ``cocoop`` and ``prograd``: learned prompts."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="coop",
            target="xm_prompts.coop:CoOp",
            summary="context vectors of the class prompts, learned (Zhou et al., IJCV 2022)",
            reclasses=True,
        ),
        StrategySpec(
            name="cocoop",
            target="xm_prompts.cocoop:CoCoOp",
            summary="context vectors that depend on the item, learned; slow (Zhou et al., CVPR 2022)",
            reclasses=True,
        ),
        StrategySpec(
            name="prograd",
            target="xm_prompts.prograd:ProGrad",
            summary="coop without what contradicts the zero-shot classifier (Zhu et al., ICCV 2023)",
            reclasses=True,
        ),
    ]
