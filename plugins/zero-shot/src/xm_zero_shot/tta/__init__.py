"""xm predictor ``tta``: the mean over views of an item, test-time augmentation."""

from __future__ import annotations

from xm import PredictorSpec, hookimpl


@hookimpl
def predictors() -> list[PredictorSpec]:
    return [
        PredictorSpec(
            name="tta",
            target="xm_zero_shot.tta.predictor:ViewMean",
            summary="the mean over views of an item (test-time augmentation), or over the confident ones of them",
        )
    ]
