"""xm: few-shot learning across modalities.

The rooms, in the order in which data pass through them: `data`, `media`, `encoders`, `alignment`, `learning`,
`evaluation`, `experiment`. Below them are `foundation` and `plugins`, beside them `testing`, the kit of plugins.
Importing `xm` is cheap: what needs torch is imported on first use.
"""

import lazy_loader

from xm import _moved

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_moved.install()
