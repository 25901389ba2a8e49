"""A folder that is written whole or not at all."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from xm.foundation.distributed import barrier, gather, leads
from xm.foundation.errors import UsageError


class NewFolder(AbstractContextManager["NewFolder"]):
    """Filled under a temporary name; `publish` gives it its own, leaving the context removes what is unfinished.

    With a `key` what is unfinished may stay (`keep`), and stays after a kill; whoever comes next with the same key and
    the same wanted name goes on with it, unless its process is still there: a lock beside it, which ends with the
    process, sees to that.

    Of several processes (`xm.foundation.distributed`) the first makes, publishes and removes it; all may write into it.

    Attributes:
        partial: where it is filled, within the context.
        keep: whether leaving the context leaves what is unfinished; of use with a key.

    Args:
        wanted: its name; None: a free one.
        free: gives a free name.
        key: says what will be in it; "": what is unfinished is of use to nobody else.

    Raises:
        UsageError: if there is such a folder already, and it is not empty.
    """

    def __init__(self, wanted: Path | None, free: Callable[[], Path], key: str = "") -> None:
        self.wanted = wanted
        self.free = free
        self.folder = gather(wanted or free())[0]
        if leads() and self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise UsageError(f"--out {self.folder}: exists and is not an empty folder; choose another")
        self.key = key
        self.keep = False
        self.partial = self.folder.with_name(f".{self.folder.name}.{os.getpid()}")
        self._had_parent = self.partial.parent.exists()
        self._lock: FileLock | None = None

    def __enter__(self) -> Self:
        if leads():
            if self.key:
                self.partial = self._locked()
            self.partial.mkdir(parents=True, exist_ok=bool(self.key))
        self.partial = gather(self.partial)[0]
        return self

    def _locked(self) -> Path:
        """The folder that somebody left unfinished, else a new one; no other process has it."""
        parent, name = self.folder.parent, f".{self.wanted.name if self.wanted else 'unfinished'}.{self.key}"
        parent.mkdir(parents=True, exist_ok=True)
        left = sorted(path for path in parent.iterdir() if path.name.startswith(name) and path.is_dir())
        new = (parent / f"{name}.{number}" for number in itertools.count(2))
        for path in itertools.chain(left, [parent / name], new):
            lock = FileLock(f"{path}.lock", timeout=0)
            with suppress(Timeout):
                lock.acquire()
                self._lock = lock
                return path
        raise AssertionError("numbers do not end")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take away what is unfinished, and the folder around it if it was made for it and holds nothing else."""
        if not leads():
            return
        if not self.keep:
            shutil.rmtree(self.partial, ignore_errors=True)
        if self._lock is not None:
            with suppress(OSError):  # Windows keeps what is open
                Path(self._lock.lock_file).unlink()
            self._lock.release()
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
