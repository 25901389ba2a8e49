"""All of it together: from settings to a run folder, what a run can do afterwards, and benchmarks of many runs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
