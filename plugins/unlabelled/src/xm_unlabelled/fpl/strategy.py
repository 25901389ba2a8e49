"""Few pseudo-labels: unlabelled items that names label, for another strategy to learn from."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import Context, Stream, UsageError
from xm.learning import Wrapping, WrappingConfig, joined
from xm.plugins import Config
from xm_unlabelled.names import at_home, name_rows, per_class, unlabelled_items

MOST = 8
"""Pseudo-labels a class, unless asked for otherwise."""


class FPLConfig(WrappingConfig):
    """Settings of few pseudo-labels."""

    k: int | None = Field(
        None, gt=0, description=f"pseudo-labels a class; none: {MOST}, or half the mean class size if that is less"
    )
    own: bool = Field(False, description="only items that are likelier of this class than of any other")
    gamma: float | None = Field(
        None,
        ge=0,
        description="weight of the mean loss of labelled samples; none: pseudo-labels over labels, published",
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
        logits = self.config.scale * at_home(items, context) @ rows.T
        chances = logits.masked_fill(~rows.any(dim=1), -torch.inf).log_softmax(dim=1)
        k = per_class(self.config.k, MOST, len(items), len(context.classes))
        place = next(iter(items.x.values())).device
        taken, labels = (found.to(place) for found in pseudo_labels(chances, k, own=self.config.own))
        context.record |= {"k": k, "pseudo_labels": labels.bincount(minlength=len(context.classes)).tolist()}
        labelled = context.train.get(context.target)
        others = {name: stream for name, stream in context.train.items() if name != context.target}
        pseudo = replace(items[taken], y=labels)
        return context.adapt(self.inner, train={context.target: self.joined(labelled, pseudo), **others})

    def joined(self, labelled: Stream | None, pseudo: Stream) -> Stream:
        """Both in one stream, weighed so that their mean losses count gamma and lam; the weights' mean is 1."""
        if labelled is None:
            return pseudo
        gamma, lam = self.config.gamma, self.config.lam
        gamma = len(pseudo) / len(labelled) if gamma is None else gamma
        whole = (len(labelled) + len(pseudo)) / (gamma + lam)
        weighed = ((labelled, gamma), (pseudo, lam))
        return joined([replace(stream, weight=whole * part * stream.parts) for stream, part in weighed])


def pseudo_labels(chances: Tensor, k: int, *, own: bool) -> tuple[Tensor, Tensor]:
    """The k likeliest items of each class, and their labels: rows of items, and classes, (m,) each, class by class.

    Args:
        chances: (n, classes), logarithms of probabilities; -inf where a class can't be.
        k: at most n.
        own: only items of which the class is the likeliest, so that no item has two labels, and a class may have less
            than k.
    """
    if own:
        chances = chances.where(chances == chances.amax(dim=1, keepdim=True), -torch.inf)
    found = chances.topk(k, dim=0)
    kept = found.values.T.isfinite()
    labels = torch.arange(chances.shape[1], device=chances.device)[:, None].expand_as(kept)
    return found.indices.T[kept], labels[kept]
