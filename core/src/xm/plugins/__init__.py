"""How plugins are found, what they register by which hook, and their settings.

The modules `hub`, files of the Hugging Face hub for encoders that load weights, and `hub_cache`, what of them lies on
this machine, are public as a whole.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
