"""The ground that every room stands on: errors, events, devices, processes, and files that are whole or not there.

Nothing here knows of encoders or of learning.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
