"""A folder that is written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from xm.foundation.distributed import barrier, gather, leads
from xm.foundation.errors import UsageError


class NewFolder(AbstractContextManager["NewFolder"]):
    """Filled under a temporary name; `publish` gives it its own, leaving the context removes what is unfinished.

    Of several processes (`xm.foundation.distributed`) the first makes, publishes and removes it; all may write into it.

    Args:
        wanted: its name; None: a free one.
        free: gives a free name.

    Raises:
        UsageError: if there is such a folder already, and it is not empty.
    """

    def __init__(self, wanted: Path | None, free: Callable[[], Path]) -> None:
        self.wanted = wanted
        self.free = free
        self.folder = gather(wanted or free())[0]
        if leads() and self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise UsageError(f"--out {self.folder}: exists and is not an empty folder; choose another")
        self.partial = self.folder.with_name(f".{self.folder.name}.{gather(os.getpid())[0]}")
        self._had_parent = self.partial.parent.exists()

    def __enter__(self) -> Self:
        if leads():
            self.partial.mkdir(parents=True)
        barrier()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take away what is unfinished, and the folder around it if it was made for it and holds nothing else."""
        if not leads():
            return
        shutil.rmtree(self.partial, ignore_errors=True)
        if not self._had_parent:
            with suppress(OSError):
                self.partial.parent.rmdir()

    def publish(self, finish: Callable[[Path], None]) -> Path:
        """Give the folder its name, and say it.

        Args:
            finish: called with the name that it will have, just before; again if another process took that name.

        Raises:
            UsageError: if it can't be written.
        """
        barrier()
        while leads():
            finish(self.folder)
            try:
                self.partial.replace(self.folder)
            except OSError as error:  # another process took the name meanwhile
                if self.wanted or not self.folder.exists():
                    why = error.strerror or error
                    raise UsageError(f"run folder {self.folder}: can't be written: {why}") from error
                self.folder = self.free()
            else:
                break
        self.folder = gather(self.folder)[0]
        return self.folder


def free_name(*words: str) -> Path:
    """``runs/<when>-<words>``, with a number if it is taken."""
    base = Path("runs") / "-".join((datetime.now().strftime("%Y%m%d-%H%M%S"), *words))
    names = [base, *(base.with_name(f"{base.name}-{i}") for i in range(2, 100))]
    return next(name for name in names if not name.exists())
