"""The kit that a plugin's author runs: subclass, give one fixture, get a suite."""

from xm.testing.aligners import AlignerConformance
from xm.testing.datasets import DatasetConformance
from xm.testing.encoders import EncoderConformance
from xm.testing.objectives import PairObjectiveConformance
from xm.testing.predictors import PredictorConformance
from xm.testing.strategies import StrategyConformance

__all__ = [
    "AlignerConformance",
    "DatasetConformance",
    "EncoderConformance",
    "PairObjectiveConformance",
    "PredictorConformance",
    "StrategyConformance",
]
