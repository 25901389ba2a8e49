from . import bank as bank
from .aligned import Aligned as Aligned
from .bank import Bank as Bank
from .choice import (
    Chosen as Chosen,
    EncoderChoice as EncoderChoice,
)
from .cuts import note_cut as note_cut
from .embedding import (
    Embedded as Embedded,
    EmbedSettings as EmbedSettings,
    embed as embed,
)
from .encoder import (
    Derived as Derived,
    Encoder as Encoder,
    Placed as Placed,
    Preparing as Preparing,
    Promptable as Promptable,
    Prototypes as Prototypes,
    Tail as Tail,
    Trunk as Trunk,
    compute as compute,
    fingerprint_of as fingerprint_of,
    known_views as known_views,
    prepare as prepare,
)
from .items import read_text as read_text
from .languages import (
    Language as Language,
    language_of as language_of,
)
from .pipeline import encode as encode
from .pretrained import (
    Pretrained as Pretrained,
    bring as bring,
    pretrained as pretrained,
)
from .reference import (
    is_run as is_run,
    make_encoder as make_encoder,
)
from .speed import (
    Way as Way,
    measured as measured,
)
from .store import FeatureStore as FeatureStore
