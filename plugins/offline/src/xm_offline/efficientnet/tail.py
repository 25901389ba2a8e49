"""The network in two: a frozen front, and a tail to be trained."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import UsageError
from xm.learning import Inputs
from xm_offline.efficientnet.network import CHANNELS_LAST, Network


class Tail(nn.Module):
    """A trainable copy of the last stages, to unit vectors (n, 1280).

    It reads ``maps`` (n, channels, height, width), or ``pixels`` (n, 3, 224, 224) if it holds the stem. Batch norm is
    folded into the convolutions, so its statistics stay as they were and the merged weights and biases are trained.
    Nothing is dropped at random.
    """

    def __init__(self, body: Any, depth: int) -> None:
        super().__init__()
        whole = depth == -1
        self.reads = "pixels" if whole else "maps"
        self.stem: nn.Module | None = deepcopy(body._conv_stem) if whole else None
        self.blocks = deepcopy(body._blocks[0 if whole else first_block(body, depth) :])
        self.head = deepcopy(body._conv_head)
        self.activation = nn.ReLU6()
        self.requires_grad_(True)

    def forward(self, x: Inputs) -> Tensor:
        maps = x[self.reads].contiguous(memory_format=CHANNELS_LAST)
        if self.stem is not None:
            maps = self.activation(self.stem(maps))
        for block in self.blocks:
            maps = block(maps)
        return normalize(self.activation(self.head(maps)).mean(dim=(2, 3)), dim=-1)


def first_block(body: Any, depth: int) -> int:
    """The index of the first MBConv block that a tail of `depth` stages holds; the head is the last stage."""
    return len(body._blocks) + 1 - depth


def front(network: Network, images: Tensor, depth: int) -> dict[str, Tensor]:
    """What a tail of `depth` reads, of images (n, 3, 224, 224)."""
    if depth == -1:
        return {"pixels": images}
    body = network.body
    maps = body._swish(body._conv_stem(images.contiguous(memory_format=CHANNELS_LAST)))
    for block in body._blocks[: first_block(body, depth)]:
        maps = block(maps)
    return {"maps": maps.contiguous()}


def check(network: Network, depth: int) -> None:
    """Whether there is such a depth.

    Raises:
        UsageError: if not; it names the depths.
    """
    stages = len(network.body._blocks) + 1
    if depth != -1 and not 0 < depth <= stages:
        raise UsageError(
            f"efficientnet-lite0 can't be split at depth {depth}; depths are 0 (frozen), 1 (the head), "
            f"2 to {stages} (the head and the last 1 to {stages - 1} blocks) and -1 (all of it)"
        )
