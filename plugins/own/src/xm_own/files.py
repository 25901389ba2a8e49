"""What is told apart by its content."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from xm import fingerprint_of


def digest(path: Path) -> str:
    """Of a file's content; a file that has not changed is read once."""
    path = path.resolve()
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    return fingerprint_of(path)
