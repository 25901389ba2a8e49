"""`geodesic-mixup`: contrast against mixtures on the sphere."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from xm import PairBatch
from xm.learning import ScaledObjective
from xm.plugins import Config
from xm_aligners.contrasts.common import belonging, excluding, own_pairs


class GeodesicMixupConfig(Config):
    """Settings of `geodesic-mixup`."""

    temperature: float = Field(0.01, gt=0, description="of all terms but m2's, at the start; the official script's")
    learn_temperature: bool = Field(False, description="train it; the official code doesn't")
    max_scale: float = Field(100.0, gt=0, description="the largest inverse temperature; CLIP's")
    m2: float = Field(0.01, ge=0, description="weight of m2-mix, source with target; the official default")
    m2_temperature: float = Field(0.07, gt=0, description="of m2-mix; the official default")
    m2_beta: float = Field(0.5, gt=0, description="m2-mix draws from Beta(b, b); the official m2-mix script's")
    v: float = Field(0.0, ge=0, description="weight of v-mix, sources with each other; 0.05 in the official m3 script")
    l: float = Field(0.0, ge=0, description="weight of l-mix, targets with each other; 0.05 in the official m3 script")  # noqa: E741
    uni_beta: float = Field(0.5, gt=0, description="v-mix and l-mix draw from Beta(b, b); the official m3 script's")
    vl: float = Field(0.0, ge=0, description="weight of vl-mix, both alike; 0.05 to 0.2 in the official m3 script")
    vl_beta: float = Field(0.5, gt=0, description="vl-mix draws from Beta(b, b); the official m3 script's")


class GeodesicMixup(ScaledObjective):
    """CLIP's contrast plus geodesic multi-modal mixup (Oh et al., NeurIPS 2023).

    m2-mix replaces each negative by the point between its source and its target on the sphere. v-mix, l-mix and vl-mix
    mix a vector with that of the batch's row from the end, and soften the targets. One draw a term and batch, from
    PyTorch's own generator. Of equal group none is a negative.
    """

    config_type = GeodesicMixupConfig

    def forward(self, batch: PairBatch) -> Tensor:
        source, target, config, scale = batch.source, batch.target, self.config, self.scale
        own = own_pairs(batch)
        shared = belonging(batch) & ~own
        logits = source @ target.T
        loss = _contrast(excluding(scale * logits, shared), own.to(logits.dtype))
        if config.m2:
            loss = loss + config.m2 * self._m2(source, target, own, shared)
        mirrored = own.flip(0)
        shared = shared & ~mirrored
        if config.v:
            part = _beta(config.uni_beta)
            mixed = geodesic(source, source.flip(0), part) @ target.T
            loss = loss + config.v * _contrast(excluding(scale * mixed, shared), part * own + (1 - part) * mirrored)
        if config.l:
            part = _beta(config.uni_beta)
            mixed = source @ geodesic(target, target.flip(0), part).T
            loss = loss + config.l * _contrast(excluding(scale * mixed, shared), part * own + (1 - part) * mirrored)
        if config.vl:
            part = _beta(config.vl_beta)
            mixed = geodesic(source, source.flip(0), part) @ geodesic(target, target.flip(0), part).T
            both = own.to(logits.dtype) + mirrored
            loss = loss + config.vl * _contrast(excluding(scale * mixed, shared), both)
        return loss

    def _m2(self, source: Tensor, target: Tensor, own: Tensor, shared: Tensor) -> Tensor:
        """The sum of both directions' cross-entropies, the negatives on the way from source to target."""
        between = geodesic(source, target, _beta(self.config.m2_beta))
        positive = (source * target).sum(dim=1, keepdim=True)
        rows = torch.arange(len(own), device=own.device)
        loss = source.new_zeros(())
        for anchors in (source, target):
            logits = torch.where(own, positive, anchors @ between.T) / self.config.m2_temperature
            loss = loss + F.cross_entropy(excluding(logits, shared), rows)
        return loss


def geodesic(one: Tensor, other: Tensor, part: float) -> Tensor:
    """Points (n, dim) on the great circles between unit vectors: `part` 1 is `one`, 0 is `other`.

    Angles below 0.0014 are taken for 0.0014, so that equal vectors have finite gradients.
    """
    angle = (one * other).sum(dim=1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6).acos()
    return ((part * angle).sin() * one + ((1 - part) * angle).sin() * other) / angle.sin()


def _beta(b: float) -> float:
    """A draw from Beta(b, b)."""
    return float(torch.distributions.Beta(torch.tensor(b), torch.tensor(b)).sample())


def _contrast(logits: Tensor, wanted: Tensor) -> Tensor:
    """The mean of both directions' cross-entropies to soft targets, which need not sum to 1."""
    rows = -(wanted * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
    columns = -(wanted * F.log_softmax(logits, dim=0)).sum(dim=0).mean()
    return (rows + columns) / 2
