"""A run's encoders, rules and models, each made once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from torch import nn

from xm.encoders.encoder import Encoder
from xm.evaluation.report import Result
from xm.experiment.new_classes import take_in
from xm.experiment.restored import Restored
from xm.learning.predictor import Predictor
from xm.plugins.plugin_manager import PluginManager

_Fitted: TypeAlias = dict[tuple[str, ...], tuple[nn.Module, Predictor]]


class Keeping(Restored):
    """As `Restored`, which makes all anew at each call; for what is asked again and again."""

    def __init__(self, folder: Path, plugins: PluginManager, device: str) -> None:
        super().__init__(folder, plugins, device)
        self._encoders: dict[str, Encoder] = {}
        self._readers: dict[str, Encoder] = {}
        self._rules: dict[str, Predictor] = {}
        self._models: _Fitted = {}
        self._extended: _Fitted = {}

    def encoder(self, modality: str) -> Encoder:
        """The encoder of a modality, as it was in training; made once.

        Raises:
            UsageError: if the run has no such modality.
            RunError: if weights or preprocessing differ from training's.
        """
        if modality not in self._encoders:
            self._encoders[modality] = super().encoder(modality)
        return self._encoders[modality]

    def _reader(self, reference: str) -> Encoder:
        if reference not in self._readers:
            self._readers[reference] = super()._reader(reference)
        return self._readers[reference]

    def rule(self, result: Result) -> Predictor:
        """The decision rule of a model, as it was in training; made once."""
        if result.model not in self._rules:
            self._rules[result.model] = super().rule(result)
        return self._rules[result.model]

    def fitted(self, result: Result, encoder: Encoder, classes: Sequence[str]) -> tuple[nn.Module, Predictor]:
        """A model and its rule, made once; of models with new classes the last one alone is kept.

        Args:
            result: of the model.
            encoder: of the items' modality.
            classes: the run's, and new ones behind them.
        """
        own = result.model, encoder.modality
        if len(classes) == len(self.classes):
            if own not in self._models:
                self._models[own] = self.model(result, {encoder.modality: encoder}), self.rule(result)
            return self._models[own]
        key = (*own, *classes)
        if key not in self._extended:
            model, rule = self.model(result, {encoder.modality: encoder}), super().rule(result)
            self._extended = {key: (take_in(self, result, model, rule, classes), rule)}
        return self._extended[key]
