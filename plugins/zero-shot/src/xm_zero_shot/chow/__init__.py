"""xm predictor ``chow``: the most probable class, or none where it is not probable enough."""

from __future__ import annotations

from xm import PredictorSpec, hookimpl


@hookimpl
def predictors() -> list[PredictorSpec]:
    return [
        PredictorSpec(
            name="chow",
            target="xm_zero_shot.chow.predictor:Chow",
            summary="the most probable class, or none of them if it is below a threshold (Chow, 1970)",
        )
    ]
