"""Class means and a shared precision from samples of several modalities, and the discriminant they make.

All in double precision on the CPU: the problem is small, and Apple's MPS has single precision only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from xm import Stream
from xm.learning import EMBEDDING

EPS = 1e-12
"""Of all scatter: what is smaller within the classes is rounding."""


@dataclass(frozen=True)
class Samples:
    """Weighted samples of one modality, in double precision: x (n, dim), y (n,), weight (n,)."""

    x: Tensor
    y: Tensor
    weight: Tensor

    def means(self, classes: int) -> tuple[Tensor, Tensor]:
        """The weighted mean of each class (classes, dim), zeros where it has none, and its weight (classes,)."""
        total = self.weight.new_zeros(classes).index_add_(0, self.y, self.weight)
        sums = self.x.new_zeros(classes, self.x.shape[1]).index_add_(0, self.y, self.weight[:, None] * self.x)
        return sums / total.clamp_min(torch.finfo(total.dtype).tiny)[:, None], total


def samples_of(stream: Stream) -> Samples:
    """A labelled stream's samples; the weight of each is 1 where the stream has none.

    Raises:
        ValueError: if there are no labels.
    """
    if stream.y is None:
        raise ValueError(f"the {stream.modality} stream has no labels")
    x, y = stream.x[EMBEDDING].detach().cpu().double(), stream.y.cpu()
    return Samples(x, y, stream.counts.cpu().double())


def united(streams: Mapping[str, Stream], shares: Mapping[str, float], target: str, classes: int) -> Samples:
    """The samples of all modalities as if they were the target's.

    The model is ``x = mean of its class + offset of its modality + noise``. So each auxiliary modality is moved by its
    offset: the mean, over the classes that both have, of the target's class mean minus its own. Every sample then
    counts once, but all of a modality no more than its share beside the target's share allows.
    """
    own = samples_of(streams[target])
    means, present = own.means(classes)
    parts = [own]
    for name, stream in streams.items():
        if name == target:
            continue
        other = samples_of(stream)
        its_means, its_total = other.means(classes)
        both = (present > 0) & (its_total > 0)
        offset = (means - its_means)[both].mean(dim=0) if both.any() else torch.zeros_like(means[0])
        most = own.weight.sum() * shares[name] / shares[target]
        parts.append(Samples(other.x + offset, other.y, other.weight * (most / other.weight.sum()).clamp_max(1.0)))
    return Samples(*(torch.cat(column) for column in zip(*((p.x, p.y, p.weight) for p in parts), strict=True)))


def discriminant(samples: Samples, classes: int) -> tuple[Tensor, Tensor]:
    """Weights (classes, dim) and bias (classes,) of the Bayes rule for Gaussians of one covariance and equal priors.

    ``w_k = P mu_k``, ``b_k = -mu_k P mu_k / 2``. P is the empirical Bayes ridge estimate of the precision,
    ``dim * (A + tr(A) / (n - 1) I)^-1``, with A the scatter within the classes and n the weight of all samples.
    The ridge is at least 1/(n - 1) of A's largest eigenvalue, so that the system is well conditioned however few
    samples there are. With no scatter within the classes (a sample each), P is spherical, of the variance of all
    samples. What is common to all classes is taken from weights and bias; no probability changes by that.
    """
    means, _ = samples.means(classes)
    n, dim = samples.weight.sum(), samples.x.shape[1]
    within = _scatter(samples.x - means[samples.y], samples.weight)
    overall = _scatter(samples.x - samples.weight @ samples.x / n, samples.weight).trace()
    if within.trace() > EPS * overall:
        within.diagonal().add_(within.trace() / (n - 1))
        weight = dim * torch.cholesky_solve(means.T, torch.linalg.cholesky(within)).T
    else:
        weight = dim * means * (n - 1) / overall.clamp_min(EPS)
    bias = -0.5 * (weight * means).sum(dim=1)
    return weight - weight.mean(dim=0), bias - bias.mean()


def _scatter(residual: Tensor, weight: Tensor) -> Tensor:
    """(dim, dim)."""
    return residual.T @ (residual * weight[:, None])
