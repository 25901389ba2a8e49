"""The kernel: streams of several modalities, the one loop, models, strategies and decision rules.

It is what must be read to write a method. It knows no files, no datasets and no encoders.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
