"""The synthetic modalities and classes, and matrices that turn vectors."""

from __future__ import annotations

import torch
from torch import Tensor

CLASSES = ("ant", "bee", "cat", "dog", "eel")
DIM = 16
TARGET = "seen"
NAMES = "named"
AUXILIARY = (NAMES, "heard")
DRAWN = 1000
"""Between numbers of pairs and groups of two draws."""
SALT = {TARGET: 1, NAMES: 2, "heard": 3}


def turned(modality: str, dim: int) -> Tensor:
    """An orthogonal matrix (dim, dim)."""
    generator = torch.Generator().manual_seed(100 + SALT[modality])
    turn: Tensor = torch.linalg.qr(torch.randn(dim, dim, generator=generator)).Q
    return turn
