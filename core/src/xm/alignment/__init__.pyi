from .aligner import (
    AlignContext as AlignContext,
    Aligner as Aligner,
    Pairs as Pairs,
    Sides as Sides,
)
from .aligning import align as align
from .diagnosis import (
    Diagnosis as Diagnosis,
    Look as Look,
    Probe as Probe,
)
from .maker import AlignmentMaker as AlignmentMaker
from .maps import (
    Affine as Affine,
    MapKind as MapKind,
    Projection as Projection,
    ridge as ridge,
)
from .settings import (
    AlignReport as AlignReport,
    AlignSettings as AlignSettings,
)
