"""The probe while it is trained, and what the zero-shot classifier says of the samples it is trained on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Stream
from xm.learning import EMBEDDING, LinearClassifier, Towers


class PinnedProbe(LinearClassifier):
    """A probe whose rows count by direction, and are pulled to where they started.

    Attributes:
        prototypes: (classes, dim), where the rows started.
        multipliers: (classes,), of the penalty.
    """

    prototypes: Tensor
    multipliers: Tensor

    def __init__(self, towers: Towers, prototypes: Tensor, multipliers: Tensor, scale: float) -> None:
        super().__init__(towers, prototypes, scale)
        self.register_buffer("prototypes", prototypes.detach().clone())
        self.register_buffer("multipliers", multipliers.detach().clone())

    def forward(self, stream: Stream) -> Tensor:
        """Logits (n, classes): the scaled cosine."""
        embedding: Tensor = self.towers[stream.modality](stream.x)
        return self.cosines(embedding, self.weight)

    def cosines(self, x: Tensor, rows: Tensor) -> Tensor:
        """Of unit vectors (n, dim) with the rows (classes, dim), scaled: (n, classes)."""
        return self.scale * x @ normalize(rows, dim=1).T

    def penalty(self, rows: Tensor) -> Tensor:
        """The mean over classes of multiplier times squared distance of the rows (classes, dim) from the prototypes."""
        return (self.multipliers * (rows - self.prototypes).square().sum(dim=1)).mean()

    def plain(self) -> LinearClassifier:
        """The same decisions as an ordinary linear classifier, its rows of unit length."""
        return LinearClassifier(self.towers, normalize(self.weight, dim=1), self.scale, trainable=False)


def zero_shot_multipliers(prototypes: Tensor, support: Stream, scale: float) -> Tensor:
    """The mean zero-shot probability of the right class over each class's samples: (classes,).

    A class without samples has the mean of the others'.

    Args:
        prototypes: (classes, dim), of unit length.
        support: labelled samples of the target.
        scale: of the logits.
    """
    y = support.labels
    chances = (scale * support.x[EMBEDDING] @ prototypes.T).softmax(dim=1).gather(1, y[:, None])[:, 0]
    sums = torch.zeros_like(prototypes[:, 0]).index_add_(0, y, chances)
    counts = y.bincount(minlength=len(prototypes))
    means = sums / counts.clamp_min(1)
    return torch.where(counts > 0, means, means[counts > 0].mean())
