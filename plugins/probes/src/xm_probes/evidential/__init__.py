"""xm objective ``evidential``: logits are evidence, and a class that is not the label's should have none."""

from __future__ import annotations

from xm import ObjectiveSpec, hookimpl


@hookimpl
def objectives() -> list[ObjectiveSpec]:
    return [
        ObjectiveSpec(
            name="evidential",
            target="xm_probes.evidential.objective:Evidential",
            summary="Dirichlet evidence, and less and less of it for wrong classes (Sensoy et al., NeurIPS 2018)",
        )
    ]
