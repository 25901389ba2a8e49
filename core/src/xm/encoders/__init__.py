"""Items to vectors: the contract of encoders, how one is chosen and made, and where vectors are kept.

The module `bank` is public as a whole: the names in a bank's file.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
