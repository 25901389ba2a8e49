"""What the image and the text encoder share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xm import Preparing, fingerprint_of
from xm.encoders import Trunk
from xm.learning import Inputs
from xm.plugins import Weights
from xm_openclip.model import Model, autocast, load, precision
from xm_openclip.reference import resolve

Front = Callable[[Any, Tensor], dict[str, Tensor]]
"""A frozen stage: an open_clip model and a batch to named tensors."""


class OpenClip(Preparing):
    """One tower of an open_clip model. Towers of one reference share the model in memory, and the space."""

    def __init__(self, argument: str = "") -> None:
        """Resolve the reference; weights load on the first call of `trunk` or `split`.

        Raises:
            UsageError: for an unknown model or tag, or a missing file.
            PluginError: if open_clip, or the configuration of an ``hf-hub:`` model, can't be had.
        """
        self._reference = resolve(argument)
        self.space = self._reference.space
        self.dim = self._reference.dim

    def fingerprint(self) -> str:
        """Of weights, configuration (activation and context length among it), preprocessing and precision.

        Weights of the hub that are not on this machine are downloaded for it; no model is loaded.
        """
        return fingerprint_of(
            "xm_openclip 1",
            self.modality,
            self._reference.weights.identity(),
            self._reference.config,
            str(precision(self.device)),
            *self._settings(),
        )

    def compute(self, prepared: Sequence[Any]) -> Inputs:
        return self._run(self._features, prepared)

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """The tower in two; the tail is a copy, so that training it leaves the shared model as it was.

        Args:
            depth: 0: none; k: the last k transformer blocks and what follows them (1 of a ResNet: its
                attention pool); -1: all.

        Raises:
            UsageError: for another depth, or a timm or Hugging Face tower at any but 0 and -1.
        """
        if depth == 0:
            return super().opened(0)
        front, tail = self._split(self._model().module, depth)
        return lambda prepared: self._run(front, prepared), tail

    def pretrained(self) -> tuple[Weights, ...]:
        return self._reference.weights.told()

    def networks(self) -> tuple[nn.Module, ...]:
        return self._networks(self._model().module)

    def _model(self) -> Model:
        return load(self._reference, str(self.device))

    def _run(self, front: Front, prepared: Sequence[Tensor]) -> Inputs:
        """Compute one stage for prepared items; its outputs stay on the device."""
        batch = torch.stack(list(prepared))
        if self.device.type == "cuda":
            batch = batch.pin_memory().to(self.device, non_blocking=True)
        else:
            batch = batch.to(self.device)
        with torch.no_grad(), autocast(self.device):
            out = front(self._model().module, batch)
        return {name: value.float() if value.is_floating_point() else value for name, value in out.items()}

    @abstractmethod
    def _settings(self) -> tuple[str, ...]:
        """What else decides the outputs."""

    @staticmethod
    @abstractmethod
    def _features(module: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        """The whole tower: ``features`` (n, dim)."""

    @staticmethod
    @abstractmethod
    def _networks(module: nn.Module) -> tuple[nn.Module, ...]:
        """The tower's modules that `_features` calls."""

    @staticmethod
    @abstractmethod
    def _split(module: nn.Module, depth: int) -> tuple[Front, nn.Module]:
        """The stage before the tail, and the tail."""
