from .made_with import made_with as made_with
from .options import (
    Columns as Columns,
    Device as Device,
    Encoders as Encoders,
    Json as Json,
    Reader as Reader,
    WithEncoders as WithEncoders,
    references as references,
    source_of as source_of,
)
from .progress import Teller as Teller
from .tables import (
    count as count,
    print_json as print_json,
    print_table as print_table,
    warn_of_plugins as warn_of_plugins,
)
