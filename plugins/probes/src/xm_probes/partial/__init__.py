"""xm strategy ``partial``: the last blocks of encoders, and a linear head, trained together."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="partial",
            target="xm_probes.partial.strategy:Partial",
            summary="partial finetuning: the encoder's last block and a linear head (Lin et al., CVPR 2023)",
        )
    ]
