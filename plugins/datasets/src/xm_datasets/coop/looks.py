"""Whether a file is one of CoOp's split files, told from its start."""

from __future__ import annotations

import re
from pathlib import Path

_START = re.compile(rb'\s*\{\s*"(train|val|test)"\s*:\s*\[')


def is_split_file(path: Path) -> bool:
    """An object whose first key is a split, which is a list."""
    with path.open("rb") as file:
        return _START.match(file.read(256)) is not None
