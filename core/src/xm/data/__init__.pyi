from .class_list import CLASS_LISTS as CLASS_LISTS
from .columns import (
    COLUMNS as COLUMNS,
    is_column as is_column,
)
from .content import (
    content_key as content_key,
    identity as identity,
    item_name as item_name,
)
from .draws import Draws as Draws
from .files import files_below as files_below
from .folder import open_folder as open_folder
from .member import (
    File as File,
    Member as Member,
)
from .naming import clean_class_name as clean_class_name
from .open import open_dataset as open_dataset
from .paths import (
    SPLIT_WORDS as SPLIT_WORDS,
    missing as missing,
    modality_of as modality_of,
    splits_of as splits_of,
)
from .splits import (
    DEFAULT_FRACTIONS as DEFAULT_FRACTIONS,
    UNLABELLED as UNLABELLED,
    group_by as group_by,
    split_dataset as split_dataset,
)
from .task import Task as Task
from .types import (
    SPLITS as SPLITS,
    Dataset as Dataset,
    Opener as Opener,
    Sample as Sample,
    Semantics as Semantics,
    View as View,
)
from .views import (
    VIEWS as VIEWS,
    check_view as check_view,
    seen as seen,
)
