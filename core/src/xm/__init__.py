"""xm: few-shot learning across modalities.

Importing `xm` is cheap: what needs torch is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from xm.foundation.errors import DataError, ItemError, PluginError, RunError, UsageError, XMError
from xm.plugins.hookspecs import hookimpl
from xm.plugins.specs import (
    AlignerSpec,
    BenchmarkSpec,
    CommandSpec,
    DatasetSpec,
    EncoderSpec,
    ObjectiveSpec,
    PredictorSpec,
    StrategySpec,
    TrackerSpec,
)

if TYPE_CHECKING:
    from xm.alignment.aligner import AlignContext, Aligner
    from xm.alignment.aligning import align
    from xm.data.types import Dataset, Sample
    from xm.encoders.bank import Bank
    from xm.encoders.embedding import embed
    from xm.encoders.encoder import Encoder, Preparing, Prototypes, fingerprint_of
    from xm.experiment.benchmark import bench
    from xm.experiment.run import Run, load
    from xm.experiment.training import train
    from xm.learning.loop import FitResult, Plan, fit
    from xm.learning.objectives import PairBatch, PairObjective
    from xm.learning.predictor import Predictor
    from xm.learning.strategy import Context, Strategy
    from xm.learning.stream import Batch, Stream

_LAZY = {
    "AlignContext": "xm.alignment.aligner",
    "Aligner": "xm.alignment.aligner",
    "Bank": "xm.encoders.bank",
    "Batch": "xm.learning.stream",
    "Context": "xm.learning.strategy",
    "Dataset": "xm.data.types",
    "Encoder": "xm.encoders.encoder",
    "FitResult": "xm.learning.loop",
    "PairBatch": "xm.learning.objectives",
    "PairObjective": "xm.learning.objectives",
    "Plan": "xm.learning.loop",
    "Predictor": "xm.learning.predictor",
    "Preparing": "xm.encoders.encoder",
    "Prototypes": "xm.encoders.encoder",
    "Run": "xm.experiment.run",
    "Sample": "xm.data.types",
    "Strategy": "xm.learning.strategy",
    "Stream": "xm.learning.stream",
    "align": "xm.alignment.aligning",
    "bench": "xm.experiment.benchmark",
    "embed": "xm.encoders.embedding",
    "fingerprint_of": "xm.encoders.encoder",
    "fit": "xm.learning.loop",
    "load": "xm.experiment.run",
    "train": "xm.experiment.training",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'xm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = [
    "AlignContext",
    "Aligner",
    "AlignerSpec",
    "Bank",
    "Batch",
    "BenchmarkSpec",
    "CommandSpec",
    "Context",
    "DataError",
    "Dataset",
    "DatasetSpec",
    "Encoder",
    "EncoderSpec",
    "FitResult",
    "ItemError",
    "ObjectiveSpec",
    "PairBatch",
    "PairObjective",
    "Plan",
    "PluginError",
    "Predictor",
    "PredictorSpec",
    "Preparing",
    "Prototypes",
    "Run",
    "RunError",
    "Sample",
    "Strategy",
    "StrategySpec",
    "Stream",
    "TrackerSpec",
    "UsageError",
    "XMError",
    "align",
    "bench",
    "embed",
    "fingerprint_of",
    "fit",
    "hookimpl",
    "load",
    "train",
]
