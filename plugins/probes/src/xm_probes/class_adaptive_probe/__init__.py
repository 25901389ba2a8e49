"""xm strategy ``class-adaptive-probe``: CLAP, a probe held to its zero-shot prototypes class by class."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="class-adaptive-probe",
            target="xm_probes.class_adaptive_probe.strategy:ClassAdaptiveProbe",
            summary="CLAP: probe held to its zero-shot prototypes class by class (Silva-Rodríguez et al., CVPR 2024)",
        )
    ]
