"""The decision rules of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from xm.experiment.settings import TrainSettings
from xm.learning.predictor import Predictor
from xm.learning.strategy import Strategy
from xm.learning.stream import Prototypes, Stream
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.sound import sound_mapping

ARGMAX = "argmax"


@dataclass
class Rules:
    """Makes the rule of a cell: the user's, else the one that the strategy's models want, else `argmax`.

    Attributes:
        settings: of the experiment; `predictor_set` goes to the rule of the user, or of the strategy that was chosen.
        plugins: that rules come from.
        device: where their tensors are.
    """

    settings: TrainSettings
    plugins: PluginManager
    device: torch.device
    _prepared: dict[tuple[str, bool], dict[str, Tensor]] = field(default_factory=dict)

    def name(self, strategy: Strategy) -> str:
        """Of the rule for a strategy's models."""
        return self.settings.predictor or strategy.predictor or ARGMAX

    def make(self, strategy: Strategy, *, chosen: bool) -> Predictor:
        """A new rule for a strategy's models.

        Args:
            strategy: itself.
            chosen: whether it is the one that the user asked for, not a baseline.
        """
        given = self.settings.predictor_set if self._has_settings(chosen) else None
        made: Predictor = self.plugins.predictors.find(self.name(strategy)).make(Predictor, given)
        return made

    def of(
        self,
        strategy: Strategy,
        *,
        chosen: bool,
        classes: Sequence[str],
        read_names: Callable[[], Stream | None],
        read_prototypes: Callable[[], Mapping[str, Prototypes]],
    ) -> Predictor:
        """The rule of a cell, prepared. What it knows of classes is the same in all cells, unless these are centred."""
        rule = self.make(strategy, chosen=chosen)
        key = self.name(strategy), self._has_settings(chosen)
        tensors = self._prepared.get(key)
        if tensors is None or self.settings.centre != "none":
            rule.read_prototypes = read_prototypes
            found = sound_mapping(rule, "prepare", rule.prepare(classes, read_names), Tensor)
            tensors = self._prepared[key] = {name: value.to(self.device) for name, value in found.items()}
        rule.tensors = tensors
        return rule

    def _has_settings(self, chosen: bool) -> bool:
        return chosen or bool(self.settings.predictor)
