"""Checkpoints: how far a long fit came, in one file, so that an interrupted one can go on to the same end."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from xm.foundation.errors import RunError
from xm.foundation.files import read_tensors, write_tensors

log = logging.getLogger("xm.learning.checkpoint")

VALUES = "values"


@dataclass(frozen=True)
class Checkpoint:
    """A file that is replaced as a fit goes on, and removed at its end.

    It is written whole or not at all. Whoever names the file sees to it that the fit is the same: same data, same
    settings, same seed.

    Attributes:
        path: of the file, ``*.safetensors``.
        every: steps between two writes; what an interruption can cost.
    """

    path: Path
    every: int = 100

    def due(self, step: int) -> bool:
        """Whether to write after so many steps."""
        return step % self.every == 0

    def write(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Replace the file.

        Args:
            tensors: by name.
            values: plain ones, as JSON has them.
        """
        write_tensors(self.path, tensors, {VALUES: json.dumps(values)})

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was written last; None if nothing was, or it is damaged, which is logged."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                values = json.loads(file.metadata()[VALUES])
            return read_tensors(self.path), values
        except (RunError, SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            log.warning("checkpoint %s is damaged; starting anew (%s)", self.path, type(error).__name__)
            return None

    def remove(self) -> None:
        """Take the file away: the fit is done."""
        self.path.unlink(missing_ok=True)

    def part(self, name: str) -> Checkpoint:
        """A checkpoint of one of several fits."""
        return Checkpoint(self.path.with_name(f"{self.path.stem}-{name}{self.path.suffix}"), self.every)
