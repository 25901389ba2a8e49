"""The kit that a plugin's author runs: subclass, give one fixture, get a suite.

The module `synthetic` is public as a whole: small made-up encoders, data and contexts.
"""

# ruff: noqa: E402 - pytest must know the modules before they are imported, or their asserts fail without values
import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "_checks",
            "_classes",
            "_readings",
            "_space",
            "_suite",
            "_things",
            "synthetic",
            "aligners",
            "datasets",
            "encoders",
            "losses",
            "objectives",
            "predictors",
            "strategies",
            "views",
        )
    )
)

from xm.testing import synthetic
from xm.testing.aligners import AlignerConformance
from xm.testing.datasets import DatasetConformance
from xm.testing.encoders import EncoderConformance
from xm.testing.installed import installed
from xm.testing.losses import ObjectiveConformance
from xm.testing.objectives import PairObjectiveConformance
from xm.testing.predictors import PredictorConformance
from xm.testing.strategies import StrategyConformance
from xm.testing.views import ViewConformance

__all__ = [
    "AlignerConformance",
    "DatasetConformance",
    "EncoderConformance",
    "ObjectiveConformance",
    "PairObjectiveConformance",
    "PredictorConformance",
    "StrategyConformance",
    "ViewConformance",
    "installed",
    "synthetic",
]
