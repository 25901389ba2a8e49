"""Label propagation as a decision rule."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import Predictor, Stream, UsageError
from xm.learning import EMBEDDING, LinearClassifier
from xm.plugins import Config
from xm_unlabelled.label_propagation.graph import affinity, propagated, smoothed


class LabelPropagationConfig(Config):
    """Settings of label propagation."""

    k: int = Field(10, gt=0, description="neighbours of a node; at most a third of the items")
    alpha: float = Field(
        0.5, gt=0, lt=1, description="how much a node takes from its neighbours; published: 0.25 to 0.5"
    )


class LabelPropagation(Predictor):
    """Class rows are labelled nodes among all items; labels spread over the graph of nearest neighbours.

    One view of Fu et al. (ECCV 2014), whose propagation is that of Zhou et al. (NIPS 2003). Probabilities are each
    item's shares of what reached it; an item that nothing reached, and fewer than three items, keep the model's own.
    """

    scope = "set"
    config_type: ClassVar[type[Config]] = LabelPropagationConfig

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        """Shares of labels (n, classes).

        Raises:
            UsageError: if the model is no linear classifier.
        """
        if not isinstance(model, LinearClassifier):
            raise UsageError(
                f"label-propagation spreads labels from a linear classifier's rows, and {type(model).__name__} has "
                "none: choose a strategy that ends in one, such as linear or zero-shot, or another --predictor"
            )
        items = model.towers.embedded(inputs)
        with torch.inference_mode():
            own: Tensor = model(items).float().softmax(dim=1)
        k = min(self.config.k, len(inputs) // 3)
        if not k:
            return own
        x, rows = (part.detach().double().cpu().numpy() for part in (items.x[EMBEDDING], model.weight))
        found = torch.from_numpy(propagated(smoothed(affinity(x, rows, k)), len(rows), self.config.alpha)).to(own)
        reached = found.sum(dim=1, keepdim=True)
        return torch.where(reached > 0, found / reached, own)
