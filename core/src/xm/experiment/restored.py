"""A run's models again, from its folder, without data or cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xm.encoders.aligned import opened, restored
from xm.encoders.encoder import Encoder
from xm.encoders.reference import encoder_again
from xm.encoders.store import FeatureStore
from xm.evaluation.report import Result
from xm.experiment.index import read_index
from xm.experiment.learned import taken_over
from xm.experiment.readings import Rows, read_rows, readings_of
from xm.experiment.rules import ARGMAX
from xm.foundation.device import pick_device
from xm.foundation.errors import RunError, described, unknown
from xm.foundation.layout import CENTRES, MODEL, RULE, map_file
from xm.foundation.reading import UNFIT, inside, read_weights
from xm.learning.model import Tower, Towers
from xm.learning.predictor import Predictor, decide
from xm.learning.start import begin
from xm.learning.strategy import Strategy, make_strategy
from xm.learning.stream import Stream
from xm.plugins.blame import culprit, fault, out_of_memory
from xm.plugins.plugin_manager import PluginManager

AGAIN = "the run is damaged, or its plugins have changed since; train again"


class Restored:
    """What a run folder holds of models, and how they are made again.

    Args:
        folder: of the run.
        plugins: that its encoders, strategies and rules come from.
        device: where to compute.

    Raises:
        RunError: if it is no run folder, is damaged, or was written by another format of xm.
    """

    def __init__(self, folder: Path, plugins: PluginManager, device: str) -> None:
        self.folder = folder
        self.plugins = plugins
        self.device = pick_device(device)
        self.index = read_index(folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """In words."""
        return tuple(self.index["classes"])

    def file(self, *names: str | Path) -> Path:
        """The path of a file of the run.

        Raises:
            RunError: if it is not inside the run's folder.
        """
        return inside(self.folder, *names)

    @property
    def target(self) -> str:
        """The modality that was trained for."""
        return str(self.index["settings"]["modality"])

    def encoder(self, modality: str) -> Encoder:
        """The encoder of a modality, as it was in training.

        Raises:
            UsageError: if the run has no such modality.
            RunError: if weights or preprocessing differ from training's.
        """
        return encoder_again(self.way(modality), modality, self.plugins, self.device, self.folder)

    def way(self, modality: str) -> Mapping[str, Any]:
        """How a modality came home, in plain values; also that of class names, where it is kept beside.

        Raises:
            UsageError: if the run has no such modality.
        """
        ways, names = self.index["ways"], self.index.get("names") or {}
        found: dict[str, Mapping[str, Any]] = {**({names["modality"]: names} if names else {}), **ways}
        if modality not in found:
            raise unknown("modality of this run", modality, ways)
        return found[modality]

    def _reader(self, reference: str) -> Encoder:
        """An encoder that the target's items are read by besides."""
        way = {"encoder": reference, "fingerprint": self.index.get("readers", {}).get(reference)}
        return encoder_again(way, self.target, self.plugins, self.device, self.folder)

    def strategy(self, result: Result) -> Strategy:
        """The strategy of a model, with the settings it had."""
        settings = self.index["settings"]
        given = settings.get("set") if result.strategy == settings["strategy"] else None
        return make_strategy(result.strategy, given, self.plugins)

    def depths(self, result: Result) -> Mapping[str, int]:
        """How deep the encoders were opened for a model."""
        return self.strategy(result).depths(self.target, result.aux, self.index.get("namer"))

    def model(self, result: Result, encoders: Mapping[str, Encoder]) -> nn.Module:
        """A model again, with its `towers`."""
        path = self.file(result.model, MODEL)
        try:
            strategy = self.strategy(result)
            restored = strategy.restore(self.towers(result, encoders), read_weights(path))
        except (KeyError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{path}: does not hold a model of strategy {result.strategy!r} ({described(error)})"
            ) from error
        if not isinstance(restored, nn.Module):
            raise fault(strategy, f"restore() gives {type(restored).__name__}, not a model (torch.nn.Module)")
        return restored.to(self.device).eval()

    def decide(self, result: Result, rule: Predictor, model: nn.Module, inputs: Stream, classes: int) -> Tensor:
        """Probabilities (n, classes) of a model and its rule.

        Raises:
            RunError: if tensors of the run do not fit each other, or what comes out is no probability.
            PluginError: if they do not fit what a plugin does with them.
        """
        try:
            found = decide(rule, model, inputs, self.device)
        except UNFIT as error:
            if out_of_memory(error):
                raise
            if thing := culprit(error):
                raise thing.error(f"{described(error)}, of {self._named(result)}; {AGAIN}") from error
            raise RunError(f"{self._named(result)} can't be asked ({described(error)}); {AGAIN}") from error
        if found.shape != (len(inputs), classes):
            raise RunError(
                f"{self._named(result)} gives {found.shape[-1]} probabilities for {classes} classes; {AGAIN}"
            )
        if not torch.isfinite(found).all():
            raise RunError(f"{self._named(result)} gives probabilities that are not finite; {AGAIN}")
        return found

    def _named(self, result: Result) -> str:
        return f"{self.folder}: the model {result.model} of strategy {result.strategy!r}"

    def towers(self, result: Result, encoders: Mapping[str, Encoder]) -> Towers:
        """As a model's training began, for the modalities of `encoders` and for those that its strategy opened."""
        depths, towers = self.depths(result), Towers()
        for modality in dict.fromkeys((*encoders, *depths)):
            encoder, depth = encoders.get(modality) or self.encoder(modality), depths.get(modality, 0)
            tower = self.tower(result, modality, encoder, depth)
            towers[modality] = begin(tower, taken_over(self.folder, modality, depth))
        return towers

    def tower(self, result: Result, modality: str, encoder: Encoder, depth: int = 0) -> Tower:
        """The way home of a modality, for a model, before it was trained."""
        return Tower(self._way_home(modality, encoder, depth), self._beside(result, CENTRES).get(modality))

    def _way_home(self, modality: str, encoder: Encoder, depth: int) -> nn.Module:
        way = self.way(modality)
        path = self.file(map_file(modality))
        tensors = read_weights(path) if way["aligner"] else {}
        try:
            given = self.index["settings"].get("aligner_set")
            return opened(restored(way["aligner"], tensors, encoder, self.plugins, given), encoder, depth)
        except (KeyError, ValueError, RuntimeError) as error:
            raise RunError(f"{path}: does not hold a map of {way['aligner']!r} ({described(error)})") from error

    def read(self, store: FeatureStore, result: Result, encoder: Encoder, items: Sequence[Any]) -> Rows:
        """Items as a model and its rule take them."""
        modality, depth = encoder.modality, self.depths(result).get(encoder.modality, 0)
        strategy = self.strategy(result) if modality == self.target else None
        readings = readings_of(strategy, self.rule(result), modality, result.aux, depth)

        def tower() -> Tower:
            return self.tower(result, modality, encoder).cpu()

        return read_rows(store, encoder, items, depth, readings, by=self._reader, tower=tower)

    def rule(self, result: Result) -> Predictor:
        """The decision rule of a model, as it was in training."""
        settings = self.index["settings"]
        name = result.predictor or settings.get("predictor") or ARGMAX
        own = settings.get("predictor") or result.strategy == settings["strategy"]
        given = settings.get("predictor_set") if own else None
        found: Predictor = self.plugins.predictors.find(name).make(Predictor, given)
        found.tensors = self._beside(result, RULE)
        return found

    def _beside(self, result: Result, name: str) -> dict[str, Tensor]:
        """Tensors of a file beside a model, or in the run's folder, on the device; empty if there is no such file."""
        places = (self.file(result.model, name), self.file(name))
        found = next((read_weights(path) for path in places if path.exists()), {})
        return {key: value.to(self.device) for key, value in found.items()}
