"""Predictors: decision rules over a fitted model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from xm.config import Configurable
from xm.stream import Stream


class Predictor(Configurable, ABC):
    """Turns a fitted model and inputs into class probabilities and so into decisions.

    Attributes:
        scope: "item": each input is judged alone. "set": all inputs are seen together, never their labels; results
            are recorded as transductive.
    """

    scope: ClassVar[Literal["item", "set"]] = "item"

    @abstractmethod
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        """Probabilities (n, classes); the decision is the largest. May take gradients."""


class Argmax(Predictor):
    """The class with the highest softmax probability."""

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = model(inputs)
            return logits.float().softmax(dim=1)
