from .decisions import (
    ClassFigures as ClassFigures,
    Decisions as Decisions,
    Wrong as Wrong,
)
from .geometry import (
    Geometry as Geometry,
    alignment as alignment,
    modality_gap as modality_gap,
    uniformity as uniformity,
)
from .metrics import (
    METRICS as METRICS,
    coverage as coverage,
    find_metric as find_metric,
    measure as measure,
)
from .report import (
    Comparison as Comparison,
    Prediction as Prediction,
    Reference as Reference,
    Report as Report,
    Result as Result,
    Summary as Summary,
    mean_std as mean_std,
    summarise as summarise,
    versions as versions,
)
from .retrieval import (
    Retrieval as Retrieval,
    mean_reciprocal_rank as mean_reciprocal_rank,
    retrieve as retrieve,
)
from .significance import (
    Hits as Hits,
    compare as compare,
    compare_means as compare_means,
    with_the_names_alone as with_the_names_alone,
    with_the_target_alone as with_the_target_alone,
)
