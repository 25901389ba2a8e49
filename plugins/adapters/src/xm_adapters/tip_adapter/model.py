"""The model: a zero-shot classifier and a cache of labelled samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from xm import Stream
from xm.learning import Towers

OWN_KEY = "own_key"
"""In a stream's `x`, (n,): the row of the cache that a training sample made. It is left out for that sample."""


class CacheModel(nn.Module):
    """``scale * x @ zero_shot.T + alpha * exp(-beta * (1 - x @ keys.T)) @ values``.

    Attributes:
        towers: by modality.
        keys: (m, dim), the cached samples; unit vectors until they are trained.
        labels: (m,), their classes.
        weights: (m,), how many samples each counts for.
        values: (m, classes), the labels one-hot times the weights; made from these, not kept in runs.
        zero_shot: (classes, dim), unit vectors.
        alpha: of the cache's part, the published "residual ratio".
        beta: how fast a key's part falls with distance, the published "sharpness ratio".
        scale: of the zero-shot part, the inverse temperature; 100 is CLIP's.
        chosen: what training chose, for the record.
    """

    labels: Tensor
    weights: Tensor
    values: Tensor
    zero_shot: Tensor
    alpha: Tensor
    beta: Tensor
    scale: Tensor

    def __init__(
        self,
        towers: Towers,
        keys: Tensor,
        labels: Tensor,
        weights: Tensor,
        zero_shot: Tensor,
        *,
        alpha: float | Tensor,
        beta: float | Tensor,
        scale: float | Tensor,
        trainable: bool = False,
    ) -> None:
        super().__init__()
        self.chosen: dict[str, object] = {}
        self.towers = towers
        self.keys = nn.Parameter(keys.detach().clone(), requires_grad=trainable)
        self.register_buffer("labels", labels)
        self.register_buffer("weights", weights)
        values = one_hot(labels, len(zero_shot)).to(weights) * weights[:, None]
        self.register_buffer("values", values, persistent=False)
        self.register_buffer("zero_shot", zero_shot)
        for name, value in {"alpha": alpha, "beta": beta, "scale": scale}.items():
            self.register_buffer(name, torch.as_tensor(value, dtype=keys.dtype, device=keys.device))

    def forward(self, stream: Stream) -> Tensor:
        """Logits (n, classes)."""
        zero_shot, similarity = self.parts(stream)
        return zero_shot + self.alpha * self.recall(similarity, self.beta, stream.x.get(OWN_KEY))

    def parts(self, stream: Stream) -> tuple[Tensor, Tensor]:
        """Zero-shot logits (n, classes), and similarities to the keys (n, m)."""
        x: Tensor = self.towers[stream.modality](stream.x)
        return self.scale * x @ self.zero_shot.T, x @ self.keys.T

    def recall(self, similarity: Tensor, beta: float | Tensor, own: Tensor | None = None) -> Tensor:
        """The cache's logits (n, classes), before `alpha`; `own` (n,) are keys to leave out, one for each row."""
        affinity = (-beta * (1 - similarity)).exp()
        if own is not None:
            affinity = affinity.scatter(1, own[:, None], 0.0)
        return affinity @ self.values
