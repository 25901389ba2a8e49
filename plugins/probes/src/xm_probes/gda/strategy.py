"""Gaussian discriminant analysis with the zero-shot classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from xm import Context, Strategy, Stream, UsageError
from xm.learning import Towers, class_means, load_towers
from xm.plugins import Config
from xm_probes.gda.gaussian import discriminant, united

Positive = Annotated[float, Field(gt=0)]
Factor = Annotated[float, Field(ge=0)]


class GDAConfig(Config):
    """Settings of GDA; scale and the whole powers of ten of alphas are the published ones."""

    alphas: tuple[Factor, ...] = Field(
        (0.0, *(float(f"{10 ** (step / 2 - 4):.6g}") for step in range(13))),
        min_length=1,
        description="factors of the discriminant beside the zero-shot logits; the best on val is taken; 0: names alone",
    )
    default_alpha: Positive = Field(1.0, description="the factor where there is no val to pick on")
    zero_shot: bool = Field(True, description="add the zero-shot classifier, if an encoder reads class names")
    scale: float = Field(100.0, gt=0, description="of the zero-shot logits; CLIP's")
    share: float = Field(
        0.5, gt=0, lt=1, description="of all weight, the most that auxiliary samples have; up to it, each counts once"
    )


class AffineClassifier(nn.Module):
    """Towers and a linear head with bias: ``tower(x) @ weight.T + bias``.

    Attributes:
        weight: (classes, dim).
        bias: (classes,).
        chosen: the hyperparameters, for the record if it is picked.
    """

    def __init__(self, towers: Towers, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.chosen: dict[str, object] = {}
        self.towers = towers
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, stream: Stream) -> Tensor:
        """Logits (n, classes)."""
        embedding: Tensor = self.towers[stream.modality](stream.x)
        return nn.functional.linear(embedding, self.weight, self.bias)


class GDA(Strategy):
    """``scale * x t_k + alpha * (x P mu_k - mu_k P mu_k / 2)`` (Wang et al., ICLR 2024, equations 3 and 4).

    t_k is the zero-shot classifier, mu_k and P are the class means and the shared precision of the labelled samples
    of all modalities. With no class names, or zero_shot=false, the discriminant stands alone, and alpha is its
    inverse temperature.
    """

    config_type: ClassVar[type[Config]] = GDAConfig

    def init_name(self, context: Context) -> str:
        """The modality of the zero-shot classifier, or "none"."""
        names = self._names(context)
        return "none" if names is None else names.modality

    def build(self, context: Context) -> nn.Module:
        """The discriminant alone."""
        classes = len(context.classes)
        samples = united(context.train, context.shares(self.config.share), context.target, classes)
        weight, bias = discriminant(samples, classes)
        return AffineClassifier(context.towers, weight.float(), bias.float())

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        """A candidate for each alpha; without val, the default one."""
        if not isinstance(model, AffineClassifier):
            raise TypeError(f"gda can't add a zero-shot classifier to a {type(model).__name__}")
        names = self._names(context)
        alphas = [alpha for alpha in self.config.alphas if alpha or names is not None]
        if not alphas:
            raise UsageError("gda with alpha 0 is the class names alone, and no encoder reads them: --set alphas=1")
        for alpha in alphas if context.val is not None else (self.config.default_alpha,):
            weight, bias = alpha * model.weight, alpha * model.bias
            if names is not None:
                weight = weight + self.config.scale * class_means(names, len(context.classes)).to(weight)
            candidate = AffineClassifier(context.towers, weight, bias)
            candidate.chosen["alpha"] = alpha
            yield candidate

    def _names(self, context: Context) -> Stream | None:
        """What the zero-shot classifier is made of, if there is to be one."""
        return context.texts if self.config.zero_shot else None

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        load_towers(towers, tensors)
        return AffineClassifier(towers, tensors["weight"], tensors["bias"])
