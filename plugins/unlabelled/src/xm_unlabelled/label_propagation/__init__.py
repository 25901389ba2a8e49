"""xm predictor and strategy ``label-propagation``: labels spread over a graph of test items."""

from __future__ import annotations

from xm import PredictorSpec, StrategySpec, hookimpl


@hookimpl
def predictors() -> list[PredictorSpec]:
    return [
        PredictorSpec(
            name="label-propagation",
            target="xm_unlabelled.label_propagation.predictor:LabelPropagation",
            summary="labels spread from class rows over a graph of all test items (Fu et al., ECCV 2014; one view)",
        )
    ]


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="label-propagation",
            target="xm_unlabelled.label_propagation.strategy:Propagated",
            summary="another strategy's model, zero-shot unless told, decided by label propagation; transductive",
            needs_target=False,
            reclasses=True,
        )
    ]
