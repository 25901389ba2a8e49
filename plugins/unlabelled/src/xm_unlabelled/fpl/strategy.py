"""Few pseudo-labels: unlabelled items that names label, for another strategy to learn from."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import Context, Stream, UsageError
from xm.learning import EMBEDDING, Wrapping, WrappingConfig
from xm.plugins import Config
from xm_unlabelled.names import name_rows, per_class, unlabelled_items

MOST = 8
"""Pseudo-labels a class, unless asked for otherwise."""


class FPLConfig(WrappingConfig):
    """Settings of few pseudo-labels."""

    k: int | None = Field(
        None, gt=0, description=f"pseudo-labels a class; none: {MOST}, or half the mean class size if that is less"
    )
    own: bool = Field(False, description="only items that are likelier of this class than of any other")
    gamma: float | None = Field(
        None, ge=0, description="weight of the mean loss of labelled samples; none: pseudo-labels over labels, published"
    )
    lam: float = Field(1.0, gt=0, description="weight of the mean loss of pseudo-labelled samples; published: 1")
    scale: float = Field(100.0, gt=0, description="of the logits that pseudo-labels come from; CLIP's")


class FewPseudoLabels(Wrapping):
    """The k unlabelled items that are likeliest of each class join train, and another strategy learns from all.

    Likeliest by the zero-shot classifier, which is the mean of the auxiliary modalities' class means (Menghini et al.,
    NeurIPS 2023, FPL). Val stays as it is.
    """

    config_type: ClassVar[type[Config]] = FPLConfig

    def build(self, context: Context) -> nn.Module:
        if self.needs_val and context.val is None:
            raise UsageError(
                f"fpl: strategy {self.config.inner!r} needs val, and here is none: take 0 out of --shots, or choose "
                "another with --set inner=NAME"
            )
        items, rows = unlabelled_items(context), name_rows(context)
        logits = self.config.scale * context.towers.embedded(items).x[EMBEDDING] @ rows.T
        chances = logits.masked_fill(~rows.any(dim=1), -torch.inf).softmax(dim=1)
        k = per_class(self.config.k, MOST, len(items), len(context.classes))
        taken, labels = pseudo_labels(chances, k, own=self.config.own)
        context.record |= {"k": k, "pseudo_labels": labels.bincount(minlength=len(context.classes)).tolist()}
        labelled = context.train.get(context.target)
        others = {name: stream for name, stream in context.train.items() if name != context.target}
        pseudo = Stream(context.target, items[taken].x, labels)
        return context.adapt(self.inner, train={context.target: self.joined(labelled, pseudo), **others})

    def joined(self, labelled: Stream | None, pseudo: Stream) -> Stream:
        """Both in one stream, weighed so that their mean losses count gamma and lam; the weights' mean is 1."""
        if labelled is None:
            return pseudo
        labelled = labelled.to(pseudo.labels.device)
        gamma, lam = self.config.gamma, self.config.lam
        gamma = len(pseudo) / len(labelled) if gamma is None else gamma
        whole = (len(labelled) + len(pseudo)) / (gamma + lam)
        return Stream(
            pseudo.modality,
            {name: torch.cat([value, pseudo.x[name]]) for name, value in labelled.x.items()},
            torch.cat([labelled.labels, pseudo.labels]),
            torch.cat([whole * gamma * labelled.parts, whole * lam * pseudo.parts]),
        )


def pseudo_labels(chances: Tensor, k: int, *, own: bool) -> tuple[Tensor, Tensor]:
    """The k likeliest items of each class, and their labels: rows of items and classes (m,), class by class.

    Args:
        chances: (n, classes), probabilities.
        k: at most, a class.
        own: only items of which the class is the likeliest, so that no item has two labels; else k of every class.
    """
    if own:
        best = chances.argmax(dim=1, keepdim=True)
        chances = torch.zeros_like(chances).scatter(1, best, chances.gather(1, best))
    found = chances.topk(k, dim=0)
    kept = found.values.T > 0
    labels = torch.arange(chances.shape[1], device=chances.device)[:, None].expand_as(kept)
    return found.indices.T[kept], labels[kept]
