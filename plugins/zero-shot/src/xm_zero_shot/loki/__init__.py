"""xm predictor ``loki``: the Fréchet mean over a label metric."""

from __future__ import annotations

from xm import PredictorSpec, hookimpl


@hookimpl
def predictors() -> list[PredictorSpec]:
    return [
        PredictorSpec(
            name="loki",
            target="xm_zero_shot.loki.predictor:Loki",
            summary="the class nearest to all probable ones, by a label metric (Roberts et al., NeurIPS 2023)",
        )
    ]
