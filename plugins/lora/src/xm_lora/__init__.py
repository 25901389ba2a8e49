"""xm strategy ``lora``: low-rank adapters in the encoders."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="lora",
            target="xm_lora.strategy:Lora",
            summary="low-rank adapters in both encoders, prompts as classifier (Zanella and Ben Ayed, CVPRW 2024)",
            reclasses=True,
        )
    ]
