from .benchmark import (
    BenchReport as BenchReport,
    BenchSettings as BenchSettings,
    BenchTable as BenchTable,
    bench as bench,
    few_shot as few_shot,
)
from .by_names import (
    ByNames as ByNames,
    classify as classify,
)
from .comparing import (
    Compared as Compared,
    CompareSettings as CompareSettings,
    EncoderReport as EncoderReport,
    compare_encoders as compare_encoders,
)
from .drawing import Drawing as Drawing
from .encoder_cost import Cost as Cost
from .resuming import unfinished as unfinished
from .run import (
    Run as Run,
    load as load,
)
from .settings import TrainSettings as TrainSettings
from .training import (
    Experiment as Experiment,
    train as train,
)
