"""Tip-Adapter: the zero-shot classifier and a cache of the samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import Context, Strategy, Stream
from xm.learning import EMBEDDING, Towers, class_means
from xm.plugins import Config
from xm_adapters.tip_adapter.model import CacheModel
from xm_adapters.tip_adapter.search import Grid, geometric_axis, published_axis, search

Positive: TypeAlias = Annotated[float, Field(gt=0)]
Weight: TypeAlias = Annotated[float, Field(ge=0)]
End: TypeAlias = Annotated[float, Field(gt=0.1)]
Count: TypeAlias = Annotated[int, Field(gt=0)]


class TipAdapterConfig(Config):
    """Settings of Tip-Adapter, by the names of the published configuration files where these have them."""

    scale: float = Field(100.0, gt=0, description="of the zero-shot logits; CLIP's")
    search_hp: bool = Field(True, description="search beta and alpha on val; else init_beta and init_alpha are taken")
    betas: tuple[Positive, ...] = Field(
        geometric_axis(0.5, math.sqrt(2), 15), min_length=1, description="sharpness: what is searched"
    )
    alphas: tuple[Weight, ...] = Field(
        (0.0, *geometric_axis(0.1, math.sqrt(2), 31)),
        min_length=1,
        description="weight of the cache: what is searched; 0: the names alone",
    )
    search_scale: tuple[End, End] | None = Field(
        None, description="ends of the published even grid, beta's and alpha's, instead of betas and alphas"
    )
    search_step: tuple[Count, Count] = Field((200, 20), description="values of the published grid, beta's and alpha's")
    init_beta: float = Field(1.0, gt=0, description="beta where nothing is searched; all published configurations'")
    init_alpha: float = Field(1.17, gt=0, description="alpha where nothing is searched; ImageNet's configuration's")

    @property
    def grid(self) -> Grid:
        """What is searched."""
        if self.search_scale is None:
            return Grid(self.betas, self.alphas)
        betas, alphas = (published_axis(*axis) for axis in zip(self.search_scale, self.search_step, strict=True))
        return Grid(betas, alphas)


class TipAdapter(Strategy):
    """Zhang et al., ECCV 2022, equations 3 to 5. Samples of all labelled modalities are keys; nothing is trained."""

    config_type: ClassVar[type[Config]] = TipAdapterConfig
    trainable: ClassVar[bool] = False

    def init_name(self, context: Context) -> str:
        return f"samples and {context.names.modality}"

    def build(self, context: Context) -> nn.Module:
        streams = list(context.train.values())
        keys = torch.cat([stream.x[EMBEDDING] for stream in streams])
        target = context.train[context.target].counts
        most = float(target.sum()) / len(context.classes)
        votes = [target if name == context.target else votes_of(s, most) for name, s in context.train.items()]
        return CacheModel(
            context.towers,
            keys,
            torch.cat([stream.labels for stream in streams]),
            torch.cat(votes).to(keys),
            class_means(context.names, len(context.classes)).to(keys),
            alpha=self.config.init_alpha,
            beta=self.config.init_beta,
            scale=self.config.scale,
            trainable=self.trainable,
        )

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        """Search beta and alpha on val; with no val, or not asked to, leave them as they are."""
        model = cache_model(model)
        if self.tune(model, context, train=not self.trainable):
            context.record["searched"] = self.config.grid.record()
        context.record |= {name: float(f"{float(getattr(model, name)):.6g}") for name in ("beta", "alpha")}
        return model

    def tune(self, model: CacheModel, context: Context, *, train: bool) -> bool:
        """Put the best beta and alpha into the model; whether they were searched.

        Args:
            model: gets them.
            context: whose val decides.
            train: if samples of train may decide too, which they can't once the keys were trained on them.
        """
        if context.val is None or not self.config.search_hp:
            return False
        beta, alpha = search(model, context, self.config.grid, train=train and self.config.search_scale is None)
        model.beta.fill_(beta)
        model.alpha.fill_(alpha)
        return True

    def reclass(self, model: nn.Module, context: Context) -> nn.Module:
        """A new class has its name's row, and no key in the cache."""
        model = cache_model(model)
        rows = class_means(context.names, len(context.classes)).to(model.zero_shot)[len(model.zero_shot) :]
        return CacheModel(
            model.towers,
            model.keys,
            model.labels,
            model.weights,
            torch.cat([model.zero_shot, rows]),
            alpha=model.alpha,
            beta=model.beta,
            scale=model.scale,
        )

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        return CacheModel(
            towers,
            tensors["keys"],
            tensors["labels"],
            tensors["weights"],
            tensors["zero_shot"],
            alpha=tensors["alpha"],
            beta=tensors["beta"],
            scale=tensors["scale"],
        )


def votes_of(stream: Stream, most: float) -> Tensor:
    """What auxiliary samples count, (n,): those of a class together at most `most`, or the class with most would win.

    The cache adds up its keys: twenty descriptions of one class and five of another are no vote for the first.
    """
    own, y = stream.counts, stream.labels
    total = own.new_zeros(int(y.max()) + 1).index_add_(0, y, own)
    return own * (most / total.clamp_min(torch.finfo(own.dtype).tiny)).clamp_max(1.0)[y]


def cache_model(model: nn.Module) -> CacheModel:
    """The same model, known to be a cache model."""
    if not isinstance(model, CacheModel):
        raise TypeError(f"Tip-Adapter can't use a {type(model).__name__}")
    return model
