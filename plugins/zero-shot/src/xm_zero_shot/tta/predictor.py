"""Test-time augmentation as a decision rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import Predictor, Reading, Stream, UsageError
from xm.plugins import Config

DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "image": ("flip", *(f"zoom{n}:0.8" for n in range(1, 8))),
    "audio": ("shift1", "shift2", "speed:0.9", "speed:1.1"),
}
"""Views by modality, where none are named. Those of images were chosen on val of Caltech-101."""


class TtaConfig(Config):
    """The views, and how many of them count."""

    views: tuple[str, ...] = Field(
        (),
        description="beside the item itself; none: flip and zoom1:0.8 to zoom7:0.8 of images, "
        "shift1, shift2, speed:0.9 and speed:1.1 of sounds",
    )
    confident: float = Field(
        1.0, gt=0, le=1, description="share of item and views that count, those of least entropy; 1: all; TPT's is 0.1"
    )


class ViewMean(Predictor):
    """The mean of the class probabilities of an item and its views; with `confident`, of those of least entropy.

    Which of them count is settled for each item alone, and one counts at least; the filter is that of TPT (Shu et al.,
    NeurIPS 2022), without its gradient step.
    """

    config_type: ClassVar[type[Config]] = TtaConfig

    def readings(self, modality: str) -> Mapping[str, Reading]:
        """A reading a view.

        Raises:
            UsageError: if no views are named, and none are known to suit the modality.
        """
        views = self.config.views or DEFAULTS.get(modality, ())
        if not views:
            raise UsageError(f"tta: name the views of {modality}: --predictor-set views=A (xm plugins list has them)")
        return {view: Reading(view=view) for view in views}

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        """Mean probabilities (n, classes)."""
        streams = [inputs, *(inputs.reading(name) for name in self.readings(inputs.modality))]
        with torch.inference_mode():
            each = torch.stack([model(stream).float().softmax(dim=1) for stream in streams], dim=1)
            kept = max(1, int(self.config.confident * len(streams) + 1e-9))
            if kept < len(streams):
                entropy = torch.special.entr(each).sum(dim=2)
                chosen = entropy.topk(kept, dim=1, largest=False).indices
                each = each.gather(1, chosen[..., None].expand(-1, -1, each.shape[2]))
            mean: Tensor = each.mean(dim=1)
        return mean
