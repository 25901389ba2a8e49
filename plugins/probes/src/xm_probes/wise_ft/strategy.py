"""WiSE-FT for linear probes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import nn

from xm import Context
from xm.learning import LinearClassifier, LinearProbe, ProbeConfig, class_means
from xm.plugins import Config

Ratio: TypeAlias = Annotated[float, Field(ge=0, le=1)]


PUBLISHED = 0.5


class WiseFTConfig(ProbeConfig):
    """A linear probe's settings, and the ratio."""

    ratio: Ratio | Literal["val"] = Field(
        "val", description="of the zero-shot weights, 0..1; val: the best of `ratios` on val, 0.5 (published) without"
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
        names = context.names
        return names.modality if self.config.init == "auto" else str(self.config.init)

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        """The average. Val's accuracy along `ratios` is recorded; of equal ones the nearest to the fitted weights."""
        if not isinstance(model, LinearClassifier):
            raise TypeError(f"wise-ft can't average a {type(model).__name__}")
        zero_shot = class_means(context.names, len(context.classes))

        def mixed(ratio: float) -> LinearClassifier:
            weight = torch.lerp(model.weight.detach(), zero_shot, ratio)
            return LinearClassifier(context.towers, weight, model.scale)

        ratio = PUBLISHED if self.config.ratio == "val" else self.config.ratio
        if context.val is not None:
            path = {searched: context.evaluate(mixed(searched)) for searched in self.config.ratios}
            context.record["ratios"] = {str(searched): accuracy for searched, (accuracy, _) in path.items()}
            if self.config.ratio == "val":
                ratio = max(path, key=lambda searched: path[searched])
        context.record["ratio"] = ratio
        return mixed(ratio)
