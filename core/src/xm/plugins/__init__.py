"""How plugins are found, what they register by which hook, and their settings.

The module `hub` is public as a whole: files of the Hugging Face hub, for encoders that load weights.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
