"""xm: few-shot learning across modalities.

Importing `xm` is cheap: what needs torch is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from xm.errors import DataError, ItemError, PluginError, RunError, UsageError, XMError
from xm.hookspecs import hookimpl
from xm.specs import (
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
    from xm.aligner import AlignContext, Aligner
    from xm.aligning import align
    from xm.bank import Bank
    from xm.benchmark import bench
    from xm.data.types import Dataset, Sample
    from xm.embedding import embed
    from xm.encoder import Encoder, Preparing, Prototypes, fingerprint_of
    from xm.experiment import train
    from xm.loop import FitResult, Plan, fit
    from xm.objectives import PairBatch, PairObjective
    from xm.predictor import Predictor
    from xm.run import Run, load
    from xm.strategy import Context, Strategy
    from xm.stream import Batch, Stream

_LAZY = {
    "AlignContext": "xm.aligner",
    "Aligner": "xm.aligner",
    "Bank": "xm.bank",
    "Batch": "xm.stream",
    "Context": "xm.strategy",
    "Dataset": "xm.data.types",
    "Encoder": "xm.encoder",
    "FitResult": "xm.loop",
    "PairBatch": "xm.objectives",
    "PairObjective": "xm.objectives",
    "Plan": "xm.loop",
    "Predictor": "xm.predictor",
    "Preparing": "xm.encoder",
    "Prototypes": "xm.encoder",
    "Run": "xm.run",
    "Sample": "xm.data.types",
    "Strategy": "xm.strategy",
    "Stream": "xm.stream",
    "align": "xm.aligning",
    "bench": "xm.benchmark",
    "embed": "xm.embedding",
    "fingerprint_of": "xm.encoder",
    "fit": "xm.loop",
    "load": "xm.run",
    "train": "xm.experiment",
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
