"""Decoding that encoders share.

The modules are public: `images`, `sounds`, `videos`, `lengths` of sounds, `suffixes` of the files that they read, and
`streams`, which looks whether a file is a sound or a video.

Each needs the extra of its name: ``xm-core[images]``, ``xm-core[sounds]``, ``xm-core[videos]``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
