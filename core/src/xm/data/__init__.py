"""Samples and datasets, the readers of a user's own files, splits, and few-shot tasks.

What comes in through ``--data`` leaves as a `Task`: who is in train, val and test, with a digest.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
