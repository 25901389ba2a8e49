from . import (
    alignment as alignment,
    data as data,
    encoders as encoders,
    evaluation as evaluation,
    experiment as experiment,
    foundation as foundation,
    learning as learning,
    media as media,
    plugins as plugins,
    testing as testing,
)
from .alignment import (
    AlignContext as AlignContext,
    Aligner as Aligner,
    align as align,
)
from .data import (
    Dataset as Dataset,
    Sample as Sample,
)
from .encoders import (
    Bank as Bank,
    Encoder as Encoder,
    Preparing as Preparing,
    embed as embed,
    fingerprint_of as fingerprint_of,
)
from .experiment import (
    Run as Run,
    bench as bench,
    classify as classify,
    compare_encoders as compare_encoders,
    load as load,
    train as train,
)
from .foundation import (
    DataError as DataError,
    ItemError as ItemError,
    PluginError as PluginError,
    RunError as RunError,
    UsageError as UsageError,
    XMError as XMError,
)
from .learning import (
    Batch as Batch,
    Context as Context,
    FitResult as FitResult,
    PairBatch as PairBatch,
    PairObjective as PairObjective,
    Plan as Plan,
    Predictor as Predictor,
    Prototypes as Prototypes,
    Reading as Reading,
    StepObjective as StepObjective,
    Strategy as Strategy,
    Stream as Stream,
    Wrapping as Wrapping,
    fit as fit,
)
from .plugins import (
    AlignerSpec as AlignerSpec,
    BenchmarkSpec as BenchmarkSpec,
    CommandSpec as CommandSpec,
    DatasetSpec as DatasetSpec,
    EncoderSpec as EncoderSpec,
    ObjectiveSpec as ObjectiveSpec,
    PredictorSpec as PredictorSpec,
    StrategySpec as StrategySpec,
    TrackerSpec as TrackerSpec,
    ViewSpec as ViewSpec,
    hookimpl as hookimpl,
)
