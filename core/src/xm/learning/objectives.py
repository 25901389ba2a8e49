"""Objectives: of classifiers, on logits and labels, and of alignments, on pairs of vectors."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from xm.foundation.errors import UsageError
from xm.plugins.config import Config, Configurable
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.sound import looked_at

Objective: TypeAlias = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""``(logits (n, k), labels (n,), weights (n,) or None) -> scalar``: the weighted mean over the samples."""


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Softmax cross-entropy (Lin et al., CVPR 2023, equation 3), the weighted mean over samples."""
    if weights is None:
        return F.cross_entropy(logits, labels)
    return (F.cross_entropy(logits, labels, reduction="none") * weights).sum() / weights.sum()


class StepObjective(Configurable, ABC):
    """An objective of classifiers that changes as a fit goes on. An `Objective`, made anew for every model.

    Attributes:
        step: of the fit, counted from 0; the loop sets it before each loss.
        steps: that the plan has. Outside of a fit it is 0, and the objective is what it becomes at the end.
    """

    step: int = 0
    steps: int = 0

    @abstractmethod
    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """The weighted mean over the samples, a scalar, of logits (n, k), labels (n,), and weights (n,) or None."""

    @property
    def progress(self) -> float:
        """The part of the fit that is over: 0 at its first step, below 1 at its last, 1 outside of a fit."""
        return self.step / self.steps if self.steps else 1.0


@contextmanager
def told(objective: Objective | None, steps: int) -> Iterator[Callable[[int], None]]:
    """A function that tells the objective each step, if it wants to know; it is afterwards as it was before."""
    if not isinstance(objective, StepObjective):
        yield lambda step: None
        return
    before = objective.step, objective.steps

    def tell(step: int) -> None:
        objective.step, objective.steps = step, steps

    try:
        yield tell
    finally:
        objective.step, objective.steps = before


@dataclass(frozen=True)
class PairBatch:
    """A batch of n pairs, mapped into one space.

    Attributes:
        source: (n, dim), unit vectors.
        target: (n, dim), unit vectors; row i belongs to row i of `source`.
        frozen: (n, k), unit vectors: the target's side as its encoder gave it, before any map.
        group: (n,) whole numbers: pairs of equal group belong together crosswise as well; None where each pair stands
            for itself.
    """

    source: Tensor
    target: Tensor
    frozen: Tensor
    group: Tensor | None = None

    def __len__(self) -> int:
        return len(self.source)


class PairObjective(nn.Module, Configurable, ABC):
    """What an alignment minimises. Its own parameters, such as a temperature, are trained with the maps."""

    def __init__(self, config: Mapping[str, Any] | Config | None = None) -> None:
        nn.Module.__init__(self)
        Configurable.__init__(self, config)

    @abstractmethod
    def forward(self, batch: PairBatch) -> Tensor:
        """The loss, a scalar, of at least two pairs."""


class ScaledObjective(PairObjective):
    """With a scale, the inverse temperature, from the settings `temperature`, `learn_temperature` and `max_scale`."""

    def __init__(self, config: Mapping[str, Any] | Config | None = None) -> None:
        super().__init__(config)
        start = torch.tensor(-math.log(self.config.temperature))
        self.log_scale = nn.Parameter(start, requires_grad=self.config.learn_temperature)

    @property
    def scale(self) -> Tensor:
        """The inverse temperature as it stands."""
        return self.log_scale.exp().clamp(max=self.config.max_scale)


class InfoNceConfig(Config):
    """Settings of `infonce`."""

    temperature: float = Field(0.07, gt=0, description="at the start; CLIP's")
    learn_temperature: bool = Field(True, description="train it; CLIP does")
    max_scale: float = Field(100.0, gt=0, description="the largest inverse temperature; CLIP's")


class InfoNce(ScaledObjective):
    """Symmetric InfoNCE with a learnable temperature (Radford et al., CLIP, ICML 2021, figure 3).

    The mean of the cross-entropies of each source among all targets of the batch, and of each target among all sources.
    """

    config_type = InfoNceConfig

    def forward(self, batch: PairBatch) -> Tensor:
        logits = self.scale * batch.source @ batch.target.T
        own = torch.arange(len(batch), device=logits.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def find_objective(name: str, plugins: PluginManager, settings: Mapping[str, Any] | None = None) -> Objective:
    """The loss of a classifier, by its name; a new one each time if it is a `StepObjective`.

    Raises:
        UsageError: if it is unknown, is one of alignments, or a setting is wrong, as any is of a plain function.
    """
    spec = plugins.objectives.find(name)
    if spec.pairs:
        raise UsageError(f"objective {name!r} is for pairs: use it with xm align; here: {_known(plugins, False)}")
    found: Any = spec.load()
    if isinstance(found, type) and issubclass(found, StepObjective):
        return found(settings)
    if settings:
        raise UsageError(f"objective {name!r} has no settings; {', '.join(map(repr, settings))} is not one")
    function: Objective = found
    return function


def make_pair_objective(name: str, settings: Mapping[str, Any] | None, plugins: PluginManager) -> PairObjective:
    """The objective of an alignment, by its name.

    Raises:
        UsageError: if it is unknown, is one of classifiers, or a setting is wrong.
    """
    spec = plugins.objectives.find(name)
    if not spec.pairs:
        raise UsageError(f"objective {name!r} is for logits and labels, not for pairs; here: {_known(plugins, True)}")
    found: PairObjective = spec.make(PairObjective, settings)
    found.register_forward_hook(looked_at)
    return found


def _known(plugins: PluginManager, pairs: bool) -> str:
    return ", ".join(sorted(spec.name for spec in plugins.objectives.values() if spec.pairs == pairs)) or "none"
