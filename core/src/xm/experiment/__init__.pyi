from .base_to_new import base_to_new as base_to_new
from .bench_report import (
    BenchReport as BenchReport,
    BenchTable as BenchTable,
    points as points,
)
from .bench_runs import run_of as run_of
from .bench_settings import BenchSettings as BenchSettings
from .benchmark import (
    Ran as Ran,
    bench as bench,
    few_shot as few_shot,
    run_strategies as run_strategies,
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
from .cross_dataset import cross_dataset as cross_dataset
from .domains import domains as domains
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
