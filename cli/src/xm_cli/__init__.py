"""The program `xm`.

What a plugin's command may use of it, so that it looks and fails as the program's own do: flags that several commands
have, progress, tables, and errors about what a folder was made with.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
