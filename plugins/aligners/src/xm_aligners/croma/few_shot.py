"""Few-shot learning of a new task in the target modality, from what meta-training left."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xm import Batch, Stream, fit
from xm.learning import cross_entropy
from xm_aligners.croma.model import plan, unit
from xm_aligners.croma.settings import AdaptConfig
from xm_aligners.croma.tasks import FEATURES, TARGET


@dataclass(frozen=True)
class Start:
    """Where few-shot learning begins.

    Attributes:
        encoder: of the target, from features to the shared space.
        head: (ways, dim), the classifier's rows.
        scale: of logits.
    """

    encoder: nn.Module
    head: Tensor
    scale: float


class FewShot(nn.Module):
    """A classifier of one task: features (n, dim) to logits (n, ways)."""

    def __init__(self, start: Start) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(start.encoder)
        self.head = nn.Parameter(start.head.detach().clone())
        self.scale = start.scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * unit(self.encoder, x) @ self.head.T


def _loss(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    support = batch[TARGET]
    return {"classify": cross_entropy(model(support.x[FEATURES]), support.labels)}


def adapt(start: Start, support: Stream, config: AdaptConfig, seed: int = 1) -> FewShot:
    """Encoder and classifier, trained on a few labelled samples of the target.

    Args:
        start: is left as it is.
        support: ``features`` and labels below the number of ways.
        config: the schedule; each step sees all samples.
        seed: of the loop.
    """
    model = FewShot(start)
    fit(model, _loss, {TARGET: support}, plan(TARGET, len(support), config.adapt_steps, config.adapt_lr, seed))
    return model


def corrupted(labels: Tensor, share: float, ways: int, generator: torch.Generator) -> Tensor:
    """Labels of which a share, rounded, are wrong: each is another class, all others being equally likely.

    Raises:
        ValueError: if the share is not in 0..1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share} wrong labels; it must be in 0..1")
    wrong = torch.randperm(len(labels), generator=generator)[: round(share * len(labels))]
    found = labels.clone()
    found[wrong] = (labels[wrong] + torch.randint(1, ways, (len(wrong),), generator=generator)) % ways
    return found
