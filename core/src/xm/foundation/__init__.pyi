from .device import (
    autocast as autocast,
    pick_device as pick_device,
    seeded as seeded,
    spread as spread,
    threads as threads,
)
from .distributed import leads as leads
from .errors import (
    DataError as DataError,
    ItemError as ItemError,
    PluginError as PluginError,
    RunError as RunError,
    UnknownNameError as UnknownNameError,
    UsageError as UsageError,
    XMError as XMError,
    described as described,
    unknown as unknown,
)
from .events import (
    Event as Event,
    Listener as Listener,
    logged as logged,
    silent as silent,
)
from .files import (
    cache_dir as cache_dir,
    now as now,
    read_tensors as read_tensors,
    replacing as replacing,
    write_json as write_json,
    write_tensors as write_tensors,
)
from .new_folder import NewFolder as NewFolder
from .reading import (
    formed as formed,
    inside as inside,
    read_json as read_json,
    read_weights as read_weights,
)
