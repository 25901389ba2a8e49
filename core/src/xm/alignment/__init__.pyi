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
from .settings import (
    AlignReport as AlignReport,
    AlignSettings as AlignSettings,
)
