"""EfficientNet-Lite0 as an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from xm.device import spread
from xm.encoder import Encoder, Inputs, Prototypes, fingerprint_of
from xm.errors import UsageError
from xm.media.images import SUFFIXES
from xm_efficientnet import images, network, weights

_FORWARD = 8
"""Images a forward pass: larger ones leave the cache of a CPU and take longer per image."""


class EfficientNetLite0(Encoder):
    """Images to 1280-d features, pooled before the classifier of 1000 ImageNet classes."""

    modality = "image"
    suffixes = SUFFIXES
    space = "efficientnet-lite0"
    dim = 1280
    batch_size = 64

    def __init__(self, argument: str = "") -> None:
        if argument:
            raise UsageError(f"encoder efficientnet-lite0:{argument}: it takes no argument; type efficientnet-lite0")

    @cached_property
    def _network(self) -> network.Network:
        return network.load(weights.weight_file())

    def fingerprint(self) -> str:
        return fingerprint_of("efficientnet-lite0", weights.weight_file(), images.SETTINGS)

    def trunk(self, items: Sequence[Any]) -> Inputs:
        """``features`` (n, 1280), not normalised, and ``scores`` (n, 1000), softmax probabilities.

        Each of PyTorch's threads decodes and computes images of its own.
        """
        self._network.to(self.device)
        rows = spread(self._rows, [items[i : i + _FORWARD] for i in range(0, len(items), _FORWARD)])
        empty = torch.zeros(0, self.dim), torch.zeros(0, self._network.classifier.out_features)
        features, scores = zip(empty, *rows, strict=True)
        return {"features": torch.cat(features), "scores": torch.cat(scores)}

    def _rows(self, items: Sequence[Any]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            pixels = torch.stack([images.image_tensor(item) for item in items])
            features, logits = self._network(pixels.to(self.device))
        return features.cpu(), logits.softmax(dim=1).cpu()

    def prototypes(self) -> Prototypes:
        """The 1000 ImageNet classes and the classifier's weight rows."""
        names = files("xm_efficientnet").joinpath("imagenet.txt").read_text(encoding="utf-8").splitlines()
        return Prototypes(tuple(names), self._network.classifier.weight.detach().cpu().clone())
