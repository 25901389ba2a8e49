"""Encoders that share no space are brought into one: pairs, aligners, the maps they make, and a diagnosis."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
