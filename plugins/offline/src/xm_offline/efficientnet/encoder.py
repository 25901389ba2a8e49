"""EfficientNet-Lite0 as an encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor, nn

from xm import Preparing, Prototypes, UsageError, fingerprint_of
from xm.encoders import Trunk
from xm.foundation import spread
from xm.learning import Inputs
from xm.media.images import SUFFIXES, VIEWS
from xm.plugins import Weights
from xm_offline.efficientnet import images, network, weights
from xm_offline.efficientnet.onnx_network import OnnxNetwork

_FORWARD = 8
"""Images a forward pass: larger ones leave the cache of a CPU and take longer per image."""


class EfficientNetLite0(Preparing):
    """Images to 1280-d features, pooled before the classifier of 1000 ImageNet classes."""

    modality = "image"
    suffixes = SUFFIXES
    views = VIEWS
    space = "efficientnet-lite0"
    dim = 1280
    batch_size = 64
    pooled = True

    def __init__(self, argument: str = "") -> None:
        if argument:
            raise UsageError(f"encoder efficientnet-lite0:{argument}: it takes no argument; type efficientnet-lite0")

    @cached_property
    def _network(self) -> network.Network:
        return network.load(weights.weight_file())

    @cached_property
    def _onnx(self) -> OnnxNetwork:
        return OnnxNetwork(self._network)

    def pretrained(self) -> tuple[Weights, ...]:
        return (weights.carried(),)

    def fingerprint(self) -> str:
        return fingerprint_of("efficientnet-lite0", weights.weight_file(), images.SETTINGS)

    def prepare(self, item: Any) -> Tensor:
        """Pixels (3, 224, 224)."""
        return images.image_tensor(item)

    def compute(self, prepared: Sequence[Any]) -> Inputs:
        """``features`` (n, 1280), not normalised, and ``scores`` (n, 1000), softmax probabilities.

        On a CPU by ONNX Runtime, four times as fast as PyTorch and equal to 1e-5; each of PyTorch's threads computes
        images of its own.
        """
        network = self._onnx if self.device.type == "cpu" else self._network  # made here, not in several threads

        def scored(images: Tensor) -> dict[str, Tensor]:
            features, logits = network(images)
            return {"features": features, "scores": logits.softmax(dim=1)}

        return self._run(scored, prepared)

    def places(self, items: Sequence[Any]) -> Inputs:
        """The 7 x 7 cells of each image, whose mean is pooled: ``tokens`` (n, 49, 1280), row by row."""

        def cells(images: Tensor) -> dict[str, Tensor]:
            return {"tokens": self._network.maps(images).flatten(2).transpose(1, 2).contiguous()}

        tokens = self._run(cells, [self.prepare(item) for item in items])["tokens"]
        side = math.isqrt(tokens.shape[1])
        middle = (torch.arange(side) + 0.5) / side
        grid = torch.cartesian_prod(middle, middle).expand(len(tokens), -1, -1)
        return {"tokens": tokens, "mask": torch.ones(tokens.shape[:2], dtype=torch.bool), "grid": grid}

    def networks(self) -> tuple[nn.Module, ...]:
        return () if self.device.type == "cpu" else (self._network,)

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """The network in two; the tail is a copy, so that training it leaves the encoder as it was.

        Args:
            depth: 0: none; 1: the head (the last convolution and pooling); k: the head and the last k - 1 blocks;
                -1: all, from pixels.

        Raises:
            UsageError: for another depth.
        """
        if depth == 0:
            return super().opened(0)
        from xm_offline.efficientnet import tail

        tail.check(self._network, depth)
        made = tail.Tail(self._network.body, depth)
        return lambda prepared: self._run(lambda images: tail.front(self._network, images, depth), prepared), made

    def _run(self, front: Callable[[Tensor], dict[str, Tensor]], prepared: Sequence[Tensor]) -> Inputs:
        """Images, each (3, 224, 224), through a frozen part."""
        self._network.to(self.device)

        def rows(part: Sequence[Tensor]) -> dict[str, Tensor]:
            pixels = torch.stack(list(part)) if part else torch.zeros(0, 3, images.SIZE, images.SIZE)
            with torch.no_grad():
                return {name: value.cpu() for name, value in front(pixels.to(self.device)).items()}

        found = spread(rows, [prepared[i : i + _FORWARD] for i in range(0, max(1, len(prepared)), _FORWARD)])
        return {name: torch.cat([part[name] for part in found]) for name in found[0]}

    def prototypes(self) -> Prototypes:
        """The 1000 ImageNet classes and the classifier's weight rows."""
        names = files("xm_offline.efficientnet").joinpath("imagenet.txt").read_text(encoding="utf-8").splitlines()
        return Prototypes(tuple(names), self._network.classifier.weight.detach().cpu().clone())
