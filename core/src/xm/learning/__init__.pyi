from .checkpoint import Checkpoint as Checkpoint
from .choosing import (
    CLIP_SCALE as CLIP_SCALE,
    clearly_best as clearly_best,
    likeliest_scale as likeliest_scale,
    mean_of_best as mean_of_best,
)
from .context import (
    Context as Context,
    Known as Known,
    adapt as adapt,
)
from .lbfgs import regularisation_path as regularisation_path
from .loop import (
    FitResult as FitResult,
    add_up as add_up,
    fit as fit,
)
from .model import (
    EMBEDDING as EMBEDDING,
    FEW as FEW,
    Behind as Behind,
    LinearClassifier as LinearClassifier,
    Tower as Tower,
    Towers as Towers,
    class_means as class_means,
    load_towers as load_towers,
    own_tensors as own_tensors,
)
from .objectives import (
    InfoNce as InfoNce,
    Objective as Objective,
    PairBatch as PairBatch,
    PairObjective as PairObjective,
    ScaledObjective as ScaledObjective,
    StepObjective as StepObjective,
    cross_entropy as cross_entropy,
    make_pair_objective as make_pair_objective,
)
from .predictor import (
    NONE as NONE,
    Argmax as Argmax,
    Predictor as Predictor,
    decide as decide,
    decisions as decisions,
)
from .probe import (
    PENALTIES as PENALTIES,
    PULLS as PULLS,
    LinearProbe as LinearProbe,
    ProbeConfig as ProbeConfig,
    Share as Share,
    Weight as Weight,
)
from .quasi_newton import (
    Curvature as Curvature,
    descend as descend,
)
from .sampler import (
    batch_counts as batch_counts,
    batches as batches,
    shares_of as shares_of,
)
from .schedule import (
    ParameterGroup as ParameterGroup,
    Plan as Plan,
    learning_rate as learning_rate,
)
from .seen import among_seen as among_seen
from .start import Start as Start
from .strategy import (
    Strategy as Strategy,
    Wrapping as Wrapping,
    WrappingConfig as WrappingConfig,
    make_strategy as make_strategy,
)
from .stream import (
    Batch as Batch,
    Inputs as Inputs,
    Prototypes as Prototypes,
    Reader as Reader,
    Reading as Reading,
    Stream as Stream,
    joined as joined,
)
