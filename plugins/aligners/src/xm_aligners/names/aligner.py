"""Class names as the training-free bridge between spaces."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import AlignContext, Aligner, Encoder, Prototypes, Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, Inputs, class_means
from xm.plugins import Config


class NamesConfig(Config):
    """Settings of the names aligner."""

    top: int = Field(10, gt=0, description="ConSE's T: how many of the most probable names speak for an item")
    gammas: tuple[float, ...] = Field((1.0, 2.0, 4.0), min_length=1, description="kernel widths; leave-one-out picks")
    alphas: tuple[float, ...] = Field((0.1, 0.3, 1.0), min_length=1, description="regularisers; leave-one-out picks")


class Conse(nn.Module):
    """An item as the mean of its most probable names' embeddings (ConSE; Norouzi et al., ICLR 2014, equation 2).

    Args:
        names: (classes, dim), the embeddings of the classifier's class names.
        top: how many names speak.
    """

    names: Tensor
    top: Tensor

    def __init__(self, names: Tensor, top: int | Tensor) -> None:
        super().__init__()
        self.register_buffer("names", names)
        self.register_buffer("top", torch.as_tensor(top))

    def forward(self, x: Inputs) -> Tensor:
        scores = x["scores"].to(self.names)
        count = min(int(self.top), scores.shape[1])
        values, rows = scores.topk(count, dim=1)
        values = values / values.sum(dim=1, keepdim=True).clamp_min(1e-12)
        return normalize(torch.einsum("nk,nkd->nd", values, self.names[rows]), dim=1)


class Rows(nn.Module):
    """Kernel ridge regression from name embeddings to classifier rows: ``exp(-gamma |x - name|^2) @ dual``.

    Args:
        names: (classes, dim in), unit vectors.
        dual: (classes, dim out).
        gamma: of the kernel.
    """

    names: Tensor
    dual: Tensor
    gamma: Tensor

    def __init__(self, names: Tensor, dual: Tensor, gamma: float | Tensor) -> None:
        super().__init__()
        self.register_buffer("names", names)
        self.register_buffer("dual", dual)
        self.register_buffer("gamma", torch.as_tensor(gamma))

    @classmethod
    def fit(cls, names: Tensor, rows: Tensor, gammas: Sequence[float], alphas: Sequence[float]) -> Self:
        """Kernel width and regulariser by leave-one-out error, in closed form (Rasmussen and Williams, eq. 5.12)."""
        x, y = names.double(), rows.double()
        distance = torch.cdist(x, x).square()
        identity = torch.eye(len(x), dtype=x.dtype, device=x.device)
        best, error = (x, 0.0), math.inf
        for gamma, alpha in itertools.product(gammas, alphas):
            inverse = torch.linalg.inv(torch.exp(-gamma * distance) + alpha * identity)
            dual = inverse @ y
            left_out = (dual / inverse.diagonal()[:, None]).square().mean().item()
            if left_out < error:
                best, error = (dual, gamma), left_out
        dual, gamma = best
        return cls(names, dual.to(names), gamma)

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-self.gamma * torch.cdist(x, self.names).square()) @ self.dual


class Names(Aligner):
    """Source to names, names to target; a step is left out where the spaces are one already.

    Source to names: ConSE, for an encoder with a classifier. Names to target: kernel ridge regression from the
    embeddings of the target classifier's class names to its centred weight rows, so that a name lands where its
    class's row is, and a new name among the rows of its neighbours.
    """

    config_type: ClassVar[type[Config]] = NamesConfig

    def why_not(self, context: AlignContext) -> str | None:
        namer = context.namer
        if namer is None:
            return "no encoder reads names"
        for encoder in (context.source, context.target):
            if encoder.space != namer.space and context.prototypes(encoder) is None:
                return f"the {encoder.modality} encoder ({encoder.space}) has no classifier whose names could serve"
        return None

    def fit(self, context: AlignContext) -> nn.Module:
        if context.namer is None:
            raise ValueError("names needs an encoder that reads names")
        steps: list[nn.Module] = [self._to_names(context, context.namer)]
        if context.target.space != context.namer.space:
            steps.append(self._from_names(context, context.namer))
        return nn.Sequential(*steps)

    def _to_names(self, context: AlignContext, namer: Encoder) -> nn.Module:
        if context.source.space == namer.space:
            return Tail()
        return Conse(_embed(context, namer, _prototypes(context, context.source)), self.config.top)

    def _from_names(self, context: AlignContext, namer: Encoder) -> nn.Module:
        prototypes = _prototypes(context, context.target)
        rows = normalize(prototypes.weight - prototypes.weight.mean(dim=0), dim=1)
        return Rows.fit(_embed(context, namer, prototypes), rows, self.config.gammas, self.config.alphas)

    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        first = Conse(tensors["0.names"], tensors["0.top"]) if "0.names" in tensors else Tail()
        rest = [Rows(tensors["1.names"], tensors["1.dual"], tensors["1.gamma"])] if "1.dual" in tensors else []
        return nn.Sequential(first, *rest)


def _prototypes(context: AlignContext, encoder: Encoder) -> Prototypes:
    prototypes = context.prototypes(encoder)
    if prototypes is None:
        raise ValueError(f"the {encoder.modality} encoder has no classifier")
    return prototypes


def _embed(context: AlignContext, namer: Encoder, prototypes: Prototypes) -> Tensor:
    """Unit vectors of the classifier's class names, (classes, dim), or the means of a name's and its texts'."""
    texts = prototypes.texts or ((),) * len(prototypes.names)
    said = [(name, *more) for name, more in zip(prototypes.names, texts, strict=True)]
    unit: Tensor = Tail()(context.features(namer, [text for each in said for text in each]))
    if len(unit) == len(said):
        return unit
    y = torch.arange(len(said), device=unit.device).repeat_interleave(
        torch.tensor([*map(len, said)], device=unit.device)
    )
    return class_means(Stream(namer.modality, {EMBEDDING: unit}, y), len(said))
