"""Lbl2Vec: class rows from the items that are most like a name."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import Context, Strategy
from xm.learning import LinearClassifier
from xm.plugins import Config
from xm_unlabelled.names import at_home, name_rows, per_class, unlabelled_items

MOST = 10
"""Items a class, unless asked for otherwise."""


class Lbl2VecConfig(Config):
    """Settings of Lbl2Vec."""

    k: int | None = Field(
        None, gt=0, description=f"items a class; none: {MOST}, or half the mean class size if that is less"
    )
    name: bool = Field(True, description="keep the name in a class's row, with as much weight as its items together")
    threshold: float | None = Field(
        None, ge=-1, le=1, description="instead of k: all items whose cosine to the name is above it"
    )
    min_items: int = Field(1, gt=0, description="threshold: at least so many, the most similar ones")
    max_items: int | None = Field(None, gt=0, description="threshold: at most so many, the most similar ones")
    scale: float = Field(100.0, gt=0, description="of the logits; CLIP's")


class Lbl2Vec(Strategy):
    """A class's row is the mean of the unlabelled items that are most like its name (Schopf et al., NLPIR 2022).

    The name is the mean of the auxiliary modalities' class means. No label and nothing of val is read.
    """

    config_type: ClassVar[type[Config]] = Lbl2VecConfig

    def init_name(self, context: Context) -> str:
        """The modalities that stand for the classes."""
        return "+".join(name for name in context.train if name != context.target) or context.target

    def build(self, context: Context) -> nn.Module:
        names = name_rows(context)
        items = at_home(unlabelled_items(context), context)
        taken = self.taken(names @ items.T)
        rows = normalize(taken.to(items.dtype) @ items, dim=1)
        if self.config.name:
            rows = normalize(rows + names, dim=1)
        known = names.any(dim=1)
        context.record["items"] = (taken.sum(dim=1) * known).tolist()
        return LinearClassifier(context.towers, rows * known[:, None], self.config.scale, trainable=False)

    def taken(self, similarities: Tensor) -> Tensor:
        """Which items make each class's row: (classes, n), of their cosines to its name (classes, n)."""
        order = similarities.argsort(dim=1, descending=True, stable=True)
        rank = order.argsort(dim=1)
        classes, n = similarities.shape
        most = per_class(self.config.k, MOST, n, classes)
        wanted = torch.ones_like(rank, dtype=torch.bool)
        if self.config.threshold is not None:
            most = self.config.max_items or n
            wanted = (similarities > self.config.threshold) | (rank < self.config.min_items)
        return wanted & (rank < most)
