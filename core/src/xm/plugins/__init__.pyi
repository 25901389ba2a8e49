from . import (
    hub as hub,
    hub_cache as hub_cache,
)
from .blame import (
    Thing as Thing,
    blamed as blamed,
    blaming as blaming,
    fault as fault,
)
from .config import (
    Config as Config,
    Configurable as Configurable,
    options_of as options_of,
    validated as validated,
)
from .hookspecs import (
    Hooks as Hooks,
    hookimpl as hookimpl,
)
from .names import reserve as reserve
from .plugin import Plugin as Plugin
from .plugin_manager import (
    PluginManager as PluginManager,
    manager as manager,
)
from .registry import Registry as Registry
from .specs import (
    ANY as ANY,
    AlignerSpec as AlignerSpec,
    BenchmarkSpec as BenchmarkSpec,
    CommandSpec as CommandSpec,
    DatasetSpec as DatasetSpec,
    EncoderSpec as EncoderSpec,
    ObjectiveSpec as ObjectiveSpec,
    PredictorSpec as PredictorSpec,
    Spec as Spec,
    StrategySpec as StrategySpec,
    TrackerSpec as TrackerSpec,
    ViewSpec as ViewSpec,
    load_target as load_target,
)
from .suffixes import Suffixes as Suffixes
from .weights import (
    Weights as Weights,
    in_bytes as in_bytes,
    of_files as of_files,
    of_package as of_package,
)
