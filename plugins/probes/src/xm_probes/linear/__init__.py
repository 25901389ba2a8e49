"""xm strategy ``linear``: the cross-modal linear probe."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="linear",
            target="xm.learning:LinearProbe",
            summary="cross-modal linear probe (Lin et al., CVPR 2023)",
        )
    ]
