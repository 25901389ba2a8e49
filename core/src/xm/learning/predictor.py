"""Predictors: decision rules over a fitted model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from xm.learning.stream import Stream
from xm.plugins.config import Configurable

PART, LEAST = 2**20, 64
"""Numbers that `decide` hands a model at a time, and the least items."""


class Predictor(Configurable, ABC):
    """Turns a fitted model and inputs into class probabilities and so into decisions.

    Attributes:
        scope: "item": each input is judged alone. "set": all inputs are seen together, never their labels; results
            are recorded as transductive.
        tensors: what `prepare` found, on the device; a run keeps it.
    """

    scope: ClassVar[Literal["item", "set"]] = "item"

    def __init__(self, config: Mapping[str, object] | None = None) -> None:
        super().__init__(config)
        self.tensors: Mapping[str, Tensor] = {}

    def prepare(self, classes: Sequence[str], read_names: Callable[[], Stream | None]) -> Mapping[str, Tensor]:
        """What the rule needs to know of the classes, found once before it is used; by default nothing.

        Args:
            classes: in words.
            read_names: the class names through the templates, embedded in the home space; None if no encoder reads
                names.
        """
        return {}

    @abstractmethod
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        """Probabilities (n, classes); the decision is the largest. May take gradients."""


def decide(predictor: Predictor, model: nn.Module, inputs: Stream, device: torch.device) -> Tensor:
    """The predictor's probabilities (n, classes), on `device`; item by item rules see a part of the inputs at a time.

    So inputs that are large (trunk outputs, pixels) are on the device a part at a time, too.
    """
    n = len(inputs)
    numbers = sum(value[:1].numel() for value in inputs.x.values())
    rows = n if predictor.scope == "set" else max(LEAST, PART // numbers)
    parts = [inputs[torch.arange(i, min(i + rows, n))] for i in range(0, n, rows)] if rows < n else [inputs]
    return torch.cat([predictor.predict(model, part.to(device)) for part in parts])


class Argmax(Predictor):
    """The class with the highest softmax probability."""

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = model(inputs)
            return logits.float().softmax(dim=1)
