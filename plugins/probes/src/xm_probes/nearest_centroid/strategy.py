"""Nearest class means."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from xm import Context, Strategy, Stream
from xm.learning import EMBEDDING, LinearClassifier, class_means
from xm.plugins import Config


class NearestCentroidConfig(Config):
    """Settings of the nearest-centroid classifier."""

    scale: float = Field(100.0, gt=0, description="of the logits")
    weigh: Literal["samples", "modalities", "groups"] = Field(
        "samples",
        description="samples: each counts once, n-shot becomes (n+1)-shot; modalities: each counts once; groups "
        "(a speaker, a recording): each counts once, and a sample of none for itself",
    )


class NearestCentroid(Strategy):
    """The class whose mean has the largest cosine (Snell et al., NeurIPS 2017, equation 1, on unit vectors)."""

    config_type: ClassVar[type[Config]] = NearestCentroidConfig

    def build(self, context: Context) -> nn.Module:
        classes, streams = len(context.classes), list(context.train.values())
        if self.config.weigh != "modalities":
            streams = [_union(streams, self.config.weigh == "groups")]
        means = torch.stack([class_means(stream, classes) for stream in streams])
        weight = nn.functional.normalize(means.mean(dim=0), dim=1)
        return LinearClassifier(context.towers, weight, self.config.scale, trainable=False)


def _union(streams: list[Stream], grouped: bool) -> Stream:
    """All samples as one stream; if grouped, each is divided by how many of its class and group there are."""
    x = torch.cat([stream.x[EMBEDDING] for stream in streams])
    y = torch.cat([stream.y for stream in streams if stream.y is not None])
    if grouped:
        none = [torch.full_like(stream.labels, -1) for stream in streams]
        group = torch.cat(
            [n if stream.group is None else stream.group for n, stream in zip(none, streams, strict=True)]
        )
        _, alike, sizes = torch.unique(torch.stack((group, y)), dim=1, return_inverse=True, return_counts=True)
        x = x / torch.where(group < 0, 1, sizes[alike])[:, None]
    return Stream("+".join(stream.modality for stream in streams), {EMBEDDING: x}, y)
