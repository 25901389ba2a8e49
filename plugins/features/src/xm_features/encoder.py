"""The encoder of features that were computed elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from xm.data.content import item_name
from xm.encoder import Encoder, Inputs, fingerprint_of
from xm.errors import ItemError, UsageError


class Features(Encoder):
    """Vectors as they are, of any modality. Those of equal dim are in one space.

    Args:
        argument: ``<modality>/<dim>``.
    """

    batch_size = 4096
    cached = False

    def __init__(self, argument: str = "") -> None:
        self.modality, _, dim = argument.rpartition("/")
        if not self.modality or not dim.isdecimal() or not int(dim):
            raise UsageError(f"encoder features:{argument}: it needs modality and dimension, as features:image/512")
        self.dim = int(dim)
        self.space = f"features/{dim}"

    def fingerprint(self) -> str:
        return fingerprint_of("features", self.modality, self.dim)

    def trunk(self, items: Sequence[Any]) -> Inputs:
        """``features`` (n, dim). An item is an array (dim,)."""
        for item in items:
            if not isinstance(item, np.ndarray) or item.shape != (self.dim,):
                raise ItemError(item_name(item), f"is no vector of {self.dim} numbers; use --features FILE")
        rows = np.stack(items) if items else np.zeros((0, self.dim))
        return {"features": torch.from_numpy(rows.astype(np.float32)).to(self.device)}


def why_not() -> str:
    """It is of no use by itself."""
    return "it comes with a file of features: --features FILE"
