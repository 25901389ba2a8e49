"""Zero-shot prompt ensembling."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import Context, Strategy, Stream, UsageError
from xm.learning import EMBEDDING, LinearClassifier
from xm.plugins import Config


class ZPEConfig(Config):
    """Settings of zero-shot prompt ensembling."""

    bias: Literal["samples", "none"] = Field(
        "samples", description="what a sentence's logits are freed of: their mean over the samples, or nothing"
    )
    weighting: Literal["softmax", "score", "equal"] = Field(
        "softmax", description="of the selected sentences: by the softmax of their scores, the scores, or equal"
    )
    threshold: float | None = Field(
        None,
        description="select sentences that score above the median by more than so many median absolute deviations; "
        "none: keep all",
    )
    normalise: bool = Field(False, description="scale a class's averaged row to unit length")
    scale: float = Field(100.0, gt=0, description="of the logits; CLIP's")


class ZeroShotPromptEnsembling(Strategy):
    """A class's row is the weighted mean of its sentences (Allingham et al., ICML 2023).

    A sentence's score is the mean over the target's samples of the largest logit, each class's logits first freed of
    their mean over the samples. Samples are the unlabelled ones, or, where there are none, train's, of which labels are
    not read; samples of auxiliary modalities and val neither.
    """

    config_type: ClassVar[type[Config]] = ZPEConfig

    def init_name(self, context: Context) -> str:
        """The modality of the class names."""
        return context.names.modality

    def build(self, context: Context) -> nn.Module:
        rows = by_sentence(context.names, len(context.classes))
        if len(rows) == 1:
            raise UsageError(
                "zpe weighs sentences around a class name against each other and there is one: give several, "
                "--template 'a photo of a {}.' --template 'a drawing of a {}.'"
            )
        samples = context.unlabelled.get(context.target) or context.train[context.target]
        x = samples.to(context.device).x[EMBEDDING]
        scores = sentence_scores(rows, x, self.config.scale, freed=self.config.bias == "samples")
        kept = selected(scores, self.config.threshold)
        weights = self._weights(scores, kept)
        context.record |= {"scores": _plain(scores), "weights": _plain(weights), "kept": int(kept.sum())}
        model = LinearClassifier(context.towers, self._weighted(weights, rows), self.config.scale, trainable=False)
        return model.keeping(sentences=weights)

    def _weighted(self, weights: Tensor, rows: Tensor) -> Tensor:
        """The classes' rows (classes, dim), of each sentence's (sentences, classes, dim)."""
        weight = torch.einsum("p,pcd->cd", weights, rows)
        return normalize(weight, dim=1) if self.config.normalise else weight

    def reclass(self, model: nn.Module, context: Context) -> nn.Module:
        """A new class's row is its sentences', weighted as they were for the others."""
        if not isinstance(model, LinearClassifier):
            raise TypeError(f"zpe has no classes to add to a {type(model).__name__}")
        weights, rows = model.state_dict().get("sentences"), by_sentence(context.names, len(context.classes))
        if weights is None or len(weights) != len(rows):
            raise UsageError("zpe: the run does not keep how its sentences were weighted: train again with this xm")
        return model.extended(self._weighted(weights, rows)[len(model.weight) :])

    def _weights(self, scores: Tensor, kept: Tensor) -> Tensor:
        """Weights of the sentences (p,), summing to 1, zero where one is not kept."""
        if self.config.weighting == "softmax":
            return scores.masked_fill(~kept, -torch.inf).softmax(dim=0)
        given = scores if self.config.weighting == "score" else torch.ones_like(scores)
        chosen = torch.where(kept, given, 0)
        if bool((chosen < 0).any()) or not bool(chosen.sum() > 0):
            raise UsageError("zpe: weighting=score needs scores above zero, and here some are not: weighting=softmax")
        return chosen / chosen.sum()


def by_sentence(texts: Stream, classes: int) -> Tensor:
    """The class names through each sentence: (sentences, classes, dim).

    Args:
        texts: for each class each sentence, in the same order.

    Raises:
        UsageError: if they are not: data and descriptions bring texts of their own.
    """
    x, y = texts.x[EMBEDDING], texts.y
    sentences = len(texts) // classes
    order = torch.arange(classes, device=x.device).repeat_interleave(sentences)
    if y is None or not torch.equal(y, order):
        raise UsageError(
            f"zpe weighs sentences that all classes share, and here are {len(texts)} texts of {classes} class names, "
            "not as many of each (descriptions, or the data's own): use --strategy zero-shot, which takes any"
        )
    return x.view(classes, sentences, -1).transpose(0, 1)


def sentence_scores(rows: Tensor, x: Tensor, scale: float, *, freed: bool = True) -> Tensor:
    """The mean over samples of the largest logit, for each sentence: (sentences,).

    Args:
        rows: (sentences, classes, dim).
        x: (n, dim), the samples.
        scale: of the logits.
        freed: take each class's mean logit over the samples away first.
    """
    scores = []
    for row in rows:
        logits = scale * x @ row.T
        if freed:
            logits = logits - logits.mean(dim=0)
        scores.append(logits.max(dim=1).values.mean())
    return torch.stack(scores)


def selected(scores: Tensor, threshold: float | None) -> Tensor:
    """Which sentences to keep: (sentences,). All, where there is no threshold, or none is above it.

    A score is above if it exceeds the median by more than `threshold` median absolute deviations.
    """
    everything = torch.ones_like(scores, dtype=torch.bool)
    if threshold is None:
        return everything
    away = scores - scores.quantile(0.5)
    above = away > threshold * away.abs().quantile(0.5)
    return above if bool(above.any()) else everything


def _plain(values: Tensor) -> list[float]:
    return [round(value, 6) for value in values.tolist()]
