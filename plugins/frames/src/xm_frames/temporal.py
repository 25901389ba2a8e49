"""Attention over frames, which can be trained."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import Prototypes, UsageError, fingerprint_of
from xm.encoders import Derived, Trunk
from xm.foundation import seeded
from xm.learning import Inputs
from xm_frames.encoder import Frames, pooled
from xm_frames.reference import FrameOptions, TemporalOptions

WIDTH, HEADS = 256, 4
"""Of the transformer over time; an encoder of fewer dimensions gives it as many as it has."""
STD = 0.02
"""Of the first values of time's embeddings, as in X-CLIP."""


class Attention(nn.Module):
    """Frames to a unit vector: their mean, and what a transformer over them adds to it.

    The multi-frame integration of X-CLIP (Ni et al., ECCV 2022): frames with learned embeddings of their time go
    through transformer layers, and the mean is taken of the outcome plus the frames as they came. Here the layers are
    narrower than the embedding (a few shots train them), and the map back from them starts at zero, so that the first
    model is mean pooling. What is random is drawn by a seed of its own.
    """

    def __init__(self, dim: int, frames: int, layers: int) -> None:
        super().__init__()
        width = min(dim, WIDTH)
        heads = max(h for h in range(1, HEADS + 1) if width % h == 0)
        with seeded(1, torch.device("cpu")):
            self.down = nn.Linear(dim, width)
            self.time = nn.Parameter(STD * torch.randn(frames, width))
            self.layers = nn.ModuleList(
                nn.TransformerEncoderLayer(
                    width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
                )
                for _ in range(layers)
            )
            self.norm = nn.LayerNorm(width)
            self.up = nn.Linear(width, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Inputs) -> Tensor:
        """Unit vectors (n, dim), of ``frames`` (n, T, dim)."""
        frames = x["frames"]
        tokens = self.down(frames) + self.time
        for layer in self.layers:
            tokens = layer(tokens)
        return normalize(frames.mean(dim=1) + self.up(self.norm(tokens).mean(dim=1)), dim=-1)


class Opened(Frames):
    """`Frames`, opened at depth 1: the trunk gives every frame, the tail is `Attention`."""

    name: ClassVar[str] = "temporal"
    options_type: ClassVar[type[FrameOptions]] = TemporalOptions
    options: TemporalOptions

    def fingerprint(self) -> str:
        return fingerprint_of(super().fingerprint(), f"attention of {self.options.layers} layers, {WIDTH} wide")

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """As of `Preparing.opened`; depth 1 is the attention."""
        if depth != 1:
            return super().opened(depth)
        return self.over_time, Attention(self.dim, self.options.n, self.options.layers)


class Temporal(Derived):
    """`Frames` with attention over time that can be trained: at depth 0 it is mean pooling, at depth 1 it starts as it.

    What is kept on disk are the frames' vectors, from which depth 0 is made: a video is decoded once.

    Args:
        argument: as of `Frames`; the options also have ``layers``.
    """

    def __init__(self, argument: str = "") -> None:
        opened = Opened(argument)
        super().__init__(opened, depth=1)
        self.space, self.dim = opened.space, opened.dim

    def fingerprint(self) -> str:
        return self.base.fingerprint()  # the same trunk outputs at depth 1, and no others are kept

    def derive(self, x: Inputs) -> Inputs:
        return pooled(x)

    def prototypes(self) -> Prototypes | None:
        return self.base.prototypes()

    def split(self, depth: int) -> tuple[Trunk, nn.Module]:
        """The frames' vectors, and attention over them.

        Args:
            depth: 0: mean pooling; 1: the attention is trained.

        Raises:
            UsageError: for another depth.
        """
        if depth == 1:
            return self.base.split(1)
        if depth:
            raise UsageError(
                f"temporal can't be split at depth {depth}; depths are 0 (mean pooling) and 1 (attention over frames); "
                "the image encoder below it stays frozen"
            )
        return super().split(0)
