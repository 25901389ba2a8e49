"""Whether what an encoder gives is what its contract says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from xm.encoders.encoder import Encoder, Trunk
from xm.learning.stream import Inputs
from xm.plugins.blame import fault

FEATURES = "features"
"""What every trunk gives at depth 0."""


def checked(encoder: Encoder, depth: int, trunk: Trunk) -> Trunk:
    """The trunk, whose outputs are looked at: tensors of a row an item, and at depth 0 ``features`` (n, dim).

    Raises:
        PluginError: from the trunk, that says what is amiss.
    """

    def checking(items: Sequence[Any]) -> Inputs:
        x = trunk(items)
        amiss = _amiss(x, len(items), encoder.dim if depth == 0 else None)
        if amiss:
            raise fault(encoder, amiss)
        return x

    return checking


def _amiss(x: Any, n: int, dim: int | None) -> str:
    if not isinstance(x, Mapping):
        return f"trunk gives a {type(x).__name__}, not named tensors; return {{'features': x}}"
    for name, value in x.items():
        if not isinstance(value, Tensor):
            return f"trunk gives {name} as {type(value).__name__}, not as a tensor"
        if value.ndim == 0 or len(value) != n:
            return f"trunk gives {name} {tuple(value.shape)} for {n} items; a row for each is wanted"
    if dim is not None and FEATURES not in x:
        return f"trunk gives {', '.join(x) or 'nothing'}, without {FEATURES!r}"
    if dim is not None and tuple(x[FEATURES].shape) != (n, dim):
        return f"trunk gives {FEATURES} {tuple(x[FEATURES].shape)}, but dim says {dim}"
    return ""


def unsound(x: Inputs) -> dict[int, str]:
    """Rows that say nothing, and why: numbers that are not finite, and features that are all zero."""
    found: dict[int, str] = {}
    for name, value in x.items():
        if not value.is_floating_point() or not len(value):
            continue
        why = "the encoder makes numbers of it that are not finite"
        rows = value.flatten(1) if value.ndim > 1 else value[:, None]
        found |= dict.fromkeys((~torch.isfinite(rows).all(dim=1)).nonzero()[:, 0].tolist(), why)
        if name == FEATURES:
            zero = (rows == 0).all(dim=1)
            found |= dict.fromkeys(zero.nonzero()[:, 0].tolist(), "the encoder makes nothing of it but zeros")
    return found
