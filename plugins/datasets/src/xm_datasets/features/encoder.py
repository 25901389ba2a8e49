"""The encoder of features that were computed elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
import torch
from torch import Tensor

from xm import Encoder, ItemError, PluginError, UsageError, fingerprint_of
from xm.data import item_name
from xm.encoders import make_encoder
from xm.learning import Inputs
from xm.plugins import manager


class Features(Encoder):
    """Vectors as they are, of any modality. Those of equal dim are in one space, unless a bank says which.

    Of a bank, whose encoder is known, files are items too: that encoder makes vectors of them.

    Args:
        argument: ``<modality>/<dim>``, and of a bank ``?by=<encoder>&print=<its fingerprint>&space=<its space>``.
    """

    batch_size = 4096
    cached = False

    def __init__(self, argument: str = "") -> None:
        place, _, known = argument.partition("?")
        self.modality, _, dim = place.rpartition("/")
        if not self.modality or not dim.isdecimal() or not int(dim):
            raise UsageError(f"encoder features:{argument}: it needs modality and dimension, as features:image/512")
        self.dim = int(dim)
        self.known = dict(parse_qsl(known))
        self.space = self.known.get("space", f"features/{dim}")

    def fingerprint(self) -> str:
        return fingerprint_of("features", self.modality, self.dim, *sorted(self.known.values()))

    def trunk(self, items: Sequence[Any]) -> Inputs:
        """``features`` (n, dim). An item is an array (dim,), or of a bank what its encoder reads."""
        rows = [torch.from_numpy(i.astype(np.float32)) if self._fits(i) else self._encoded(i) for i in items]
        return {"features": (torch.stack(rows) if rows else torch.zeros(0, self.dim)).to(self.device)}

    def _fits(self, item: Any) -> bool:
        return isinstance(item, np.ndarray) and item.shape == (self.dim,)

    def _encoded(self, item: Any) -> Tensor:
        if isinstance(item, np.ndarray) or "by" not in self.known:
            raise ItemError(
                item_name(item), f"is no vector of {self.dim} numbers; a file of them is scored by --features FILE"
            )
        with torch.inference_mode():
            found = self._maker.split(0)[0]([item])["features"][0]
        return found.float().cpu().clone()

    @cached_property
    def _maker(self) -> Encoder:
        """The encoder that made the bank.

        Raises:
            PluginError: if it can't be used here, or is another by now.
        """
        name = self.known["by"]
        try:
            made = make_encoder(name, manager(), self.device, self.modality)
        except UsageError as error:
            raise PluginError(f"the features were made by encoder {name}, which is not here: {error}") from None
        if made.fingerprint() != self.known.get("print"):
            raise PluginError(f"the features were made by another {name}: its weights or preprocessing differ")
        return made


def reference(modality: str, dim: int, maker: Mapping[str, str] | None = None) -> str:
    """What names the encoder of an array.

    Args:
        modality: of the array.
        dim: its columns.
        maker: of a bank: `encoder`, `fingerprint` and `space`.
    """
    place = f"features:{modality}/{dim}"
    if not maker:
        return place
    known = {"by": maker["encoder"], "print": maker["fingerprint"], "space": maker["space"]}
    return f"{place}?{urlencode(known, safe='/:')}"


def why_not() -> str:
    """It is of no use by itself."""
    return "it comes with a file of features: --features FILE"
