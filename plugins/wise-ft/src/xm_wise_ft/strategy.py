"""WiSE-FT for linear probes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import nn

from xm.config import Config
from xm.errors import UsageError
from xm.model import LinearClassifier, class_means
from xm.probe import LinearProbe, ProbeConfig
from xm.strategy import Context

Ratio: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class WiseFTConfig(ProbeConfig):
    """A linear probe's settings, and the ratio."""

    ratio: Ratio | Literal["val"] = Field(
        0.5, description="of the zero-shot weights, 0..1; published: 0.5; val: the best of `ratios` on val"
    )
    ratios: tuple[Ratio, ...] = Field(
        tuple(i / 10 for i in range(11)), min_length=1, description="what ratio=val searches"
    )


class WiseFT(LinearProbe):
    """``(1 - ratio) * fitted + ratio * zero-shot`` weights (Wortsman et al., CVPR 2022, equation 1).

    As in the code of Lin et al. (CVPR 2023) the probe starts at the zero-shot weights, also with no auxiliary
    modality, and the zero-shot rows have unit length while the fitted ones are left as they are.
    """

    config_type: ClassVar[type[Config]] = WiseFTConfig

    def init_name(self, context: Context) -> str:
        """The class names, unless asked otherwise.

        Raises:
            UsageError: if no encoder reads names, so that there is no zero-shot classifier.
        """
        if context.texts is None:
            raise UsageError("wise-ft needs class names: choose an encoder that reads them (--text-encoder NAME)")
        return context.texts.modality if self.config.init == "auto" else str(self.config.init)

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        """The average; with ratio=val, the best on val, of equal ones the nearest to the fitted weights."""
        if not isinstance(model, LinearClassifier) or context.texts is None:
            raise TypeError("wise-ft averages linear classifiers")
        zero_shot = class_means(context.texts, len(context.classes))

        def mixed(ratio: float) -> LinearClassifier:
            weight = torch.lerp(model.weight.detach(), zero_shot, ratio)
            return LinearClassifier(context.towers, weight, model.scale)

        search = self.config.ratio == "val" and context.val is not None
        ratios: tuple[float, ...] = (0.5,) if self.config.ratio == "val" else (self.config.ratio,)
        candidates = {ratio: mixed(ratio) for ratio in (self.config.ratios if search else ratios)}
        if not search:
            context.record["ratio"] = ratios[0]
            return candidates[ratios[0]]
        path = {ratio: context.evaluate(candidate) for ratio, candidate in candidates.items()}
        best = max(path, key=lambda ratio: path[ratio])
        context.record |= {"ratio": best, "ratios": {str(r): accuracy for r, (accuracy, _) in path.items()}}
        return candidates[best]
