"""The model: a residual bottleneck, then a linear classifier."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import Stream
from xm.learning import Towers


class AdapterClassifier(nn.Module):
    """``scale * f(x) @ weight.T`` with ``f(x) = ratio * relu(relu(x @ down.T) @ up.T) + (1 - ratio) * x``.

    Attributes:
        towers: by modality; the same bottleneck follows all of them.
        down, up: (hidden, dim) and (dim, hidden), the bottleneck, without biases.
        weight: (classes, dim), the head.
        ratio: of the bottleneck's output in the sum.
        scale: of the logits; 100 is CLIP's.
        unit: whether f(x) is scaled to unit length: with a frozen head as in CLIP-Adapter, not with a trained one.
        chosen: the hyperparameters of this candidate, for the record if it is picked.
    """

    ratio: Tensor
    scale: Tensor
    unit: Tensor

    def __init__(
        self,
        towers: Towers,
        down: Tensor,
        up: Tensor,
        weight: Tensor,
        *,
        ratio: float | Tensor,
        scale: float | Tensor,
        unit: bool | Tensor,
        train_head: bool = False,
    ) -> None:
        super().__init__()
        self.chosen: dict[str, object] = {}
        self.towers = towers
        self.down = nn.Parameter(down.detach().clone())
        self.up = nn.Parameter(up.detach().clone())
        self.weight = nn.Parameter(weight.detach().clone(), requires_grad=train_head)
        self.register_buffer("ratio", torch.as_tensor(ratio, dtype=weight.dtype, device=weight.device))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=weight.dtype, device=weight.device))
        self.register_buffer("unit", torch.as_tensor(unit))

    def forward(self, stream: Stream) -> Tensor:
        """Logits (n, classes)."""
        x: Tensor = self.towers[stream.modality](stream.x)
        bottleneck = ((x @ self.down.T).relu() @ self.up.T).relu()
        adapted = self.ratio * bottleneck + (1 - self.ratio) * x
        if self.unit:
            adapted = normalize(adapted, dim=-1)
        return self.scale * adapted @ self.weight.T


def random_bottleneck(dim: int, hidden: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`down` and `up`, uniform within one over the square root of what each reads: torch's own start for layers."""
    down, up = 1 / math.sqrt(dim), 1 / math.sqrt(hidden)
    return (
        torch.empty(hidden, dim).uniform_(-down, down, generator=generator),
        torch.empty(dim, hidden).uniform_(-up, up, generator=generator),
    )
