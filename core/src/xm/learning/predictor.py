"""Predictors: decision rules over a fitted model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from xm.foundation.device import seeded
from xm.learning.stream import Prototypes, Reading, Stream
from xm.plugins.config import Configurable
from xm.plugins.sound import sound_rows

PART, LEAST = 2**20, 64
"""Numbers that `decide` hands a model at a time, and the least items."""


class Predictor(Configurable, ABC):
    """Turns a fitted model and inputs into class probabilities and so into decisions.

    Attributes:
        scope: "item": each input is judged alone. "set": all inputs are seen together, never their labels; "sequence":
            one after the other, and the rule learns from those before. Results of both are recorded as transductive.
        abstains: whether rows may sum to less than 1. What lacks is the probability of "none of these", and where it is
            larger than every class's the rule does not decide: NONE, a miss in every metric, and coverage beside it.
        tensors: what `prepare` found, on the device; a run keeps it.
        read_prototypes: as `xm.Context.prototypes`, for `prepare`.
    """

    scope: ClassVar[Literal["item", "set", "sequence"]] = "item"
    abstains: ClassVar[bool] = False
    read_prototypes: Callable[[], Mapping[str, Prototypes]]

    def __init__(self, config: Mapping[str, object] | None = None) -> None:
        super().__init__(config)
        self.tensors: Mapping[str, Tensor] = {}
        self.read_prototypes = dict

    def prepare(self, classes: Sequence[str], read_names: Callable[[], Stream | None]) -> Mapping[str, Tensor]:
        """What the rule needs to know of the classes, found once before it is used; by default nothing.

        Args:
            classes: in words.
            read_names: the class names through the templates, embedded in the home space; None if no encoder reads
                names.
        """
        return {}

    def readings(self, modality: str) -> Mapping[str, Reading]:
        """What else of the items of a modality is to be read, by a name each: it is in the inputs' `also`.

        Raises:
            UsageError: if the rule can't judge the modality.
        """
        return {}

    @abstractmethod
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        """Probabilities (n, classes); the decision is the largest. May take gradients."""


NONE = -1
"""The decision of a rule that abstains: none of the classes."""


def decisions(predictor: Predictor, probabilities: Tensor, among: Tensor | None = None) -> Tensor:
    """The class of each row, or `NONE`: (n,).

    Args:
        predictor: that made them.
        probabilities: (n, classes).
        among: (k,), the classes that may be decided for; None: all.
    """
    found = probabilities
    if among is not None:
        others = torch.ones(found.shape[1], dtype=torch.bool, device=found.device).index_fill(0, among, value=False)
        found = found.masked_fill(others, -1)
    largest, label = found.max(dim=1)
    return label.where(1 - probabilities.sum(dim=1) <= largest, NONE) if predictor.abstains else label


def decide(predictor: Predictor, model: nn.Module, inputs: Stream, device: torch.device) -> Tensor:
    """The predictor's probabilities (n, classes), on `device`; item by item rules see a part of the inputs at a time.

    So inputs that are large (trunk outputs, pixels) are on the device a part at a time, too. Raises a PluginError if
    the predictor gives no row of numbers for each.
    """
    n = len(inputs)
    numbers = sum(value[:1].numel() for x in (inputs.x, *inputs.also.values()) for value in x.values())
    rows = max(LEAST, PART // numbers) if predictor.scope == "item" else n
    if rows >= n:
        return sound_rows(predictor, predictor.predict(model, inputs.to(device)), n)
    found = torch.empty(0, device=device)
    for i in range(0, n, rows):  # of many classes, all of them joined at the end would be in memory twice
        some = inputs[torch.arange(i, min(i + rows, n))]
        part = sound_rows(predictor, predictor.predict(model, some.to(device)), len(some)).detach()
        found = found if i else part.new_empty((n, part.shape[1]))
        found[i : i + rows] = part
    return found


def among(probabilities: Tensor, classes: Tensor) -> Tensor:
    """The same (n, classes), all of them given to some classes (k,); rows of zeros where these had nothing."""
    kept = torch.zeros_like(probabilities).index_copy(1, classes, probabilities.index_select(1, classes))
    return kept * (probabilities.sum(dim=1, keepdim=True) / kept.sum(dim=1, keepdim=True).clamp_min(1e-30))


ALONE = 4
"""Items that `depends_on_others` asks for alone."""

SAME = 1e-3
"""Probabilities that differ by less are the same: batches of other sizes are added up in another order."""


def depends_on_others(
    predictor: Predictor, model: nn.Module, inputs: Stream, found: Tensor, device: torch.device
) -> bool:
    """Whether items get other probabilities alone than with the others, of which neither rule nor model says a word.

    Args:
        inputs: n items.
        found: (n, classes), what `decide` said of them together.
    """
    for row in torch.linspace(0, len(inputs) - 1, min(ALONE, len(inputs))).long():
        try:
            with seeded(0, device):
                alone = decide(predictor, model, inputs[row[None].to(next(iter(inputs.x.values())).device)], device)
        except (ValueError, RuntimeError):  # batch normalisation of one item, or a rule that needs several
            return True
        if not torch.allclose(alone[0], found[row], atol=SAME, rtol=0):
            return True
    return False


class Argmax(Predictor):
    """The class with the highest softmax probability."""

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = model(inputs)
            return logits.float().softmax(dim=1)
