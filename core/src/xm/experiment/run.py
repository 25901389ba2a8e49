"""Run folders, read without data or cache; `xm.foundation.layout` says what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xm.data.naming import unique
from xm.data.paths import modality_of
from xm.encoders.aligned import opened, restored
from xm.encoders.encoder import Encoder
from xm.encoders.reference import encoder_again
from xm.encoders.store import FeatureStore
from xm.evaluation.metrics import coverage, measure
from xm.evaluation.report import Prediction, Result
from xm.experiment.index import read_index
from xm.experiment.learned import taken_over
from xm.experiment.readings import Rows, read_rows, readings_of
from xm.experiment.scored import scored
from xm.foundation.device import pick_device
from xm.foundation.errors import DataError, RunError, UsageError, described, unknown
from xm.foundation.events import Listener, logged
from xm.foundation.files import cache_dir, read_tensors
from xm.foundation.layout import CENTRES, MODEL, RULE, map_file
from xm.learning.model import Tower, Towers
from xm.learning.predictor import NONE, Predictor, decide, decisions
from xm.learning.start import begin
from xm.learning.strategy import Strategy, make_strategy
from xm.plugins.plugin_manager import PluginManager, manager


def load(
    run: str | Path,
    *,
    plugins: PluginManager | None = None,
    device: str = "auto",
    cache: Path | None = None,
    listener: Listener = logged,
) -> Run:
    """Open a run folder that `train` wrote.

    Args:
        run: the folder.
        plugins: the plugin manager; the process's own if None.
        device: where to compute.
        cache: for `Run.evaluate`; None: XM_CACHE or the platform's.
        listener: hears progress and warnings of `Run.evaluate`; by default warnings are logged.

    Raises:
        RunError: if it is none, is damaged, or was written by another format of xm.
    """
    return Run(Path(run), plugins or manager(), device, cache, listener)


class Run:
    """A run, read lazily: its results, its models, and prediction with them."""

    def __init__(
        self,
        folder: Path,
        plugins: PluginManager,
        device: str = "auto",
        cache: Path | None = None,
        listener: Listener = logged,
    ) -> None:
        self.folder = folder
        self.plugins = plugins
        self.device = pick_device(device)
        self.listener = listener
        self.cache = cache or cache_dir()
        self.store = FeatureStore(self.cache / "features", listener=listener)
        self.index = read_index(folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """In words."""
        return tuple(self.index["classes"])

    @property
    def target(self) -> str:
        """The modality that was trained for."""
        return str(self.index["settings"]["modality"])

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """Every model's result."""
        return tuple(Result.read(r) for r in self.index["results"])

    def pick(self, pick: str | None = None) -> Result:
        """The result of one model.

        Args:
            pick: part of a model's folder name, such as "shots-1/seed-2/image+text"; None: the chosen strategy with
                most shots, first seed and all auxiliary modalities.

        Raises:
            UsageError: if none fits.
        """
        if pick is None:
            chosen = [r for r in self.results if r.strategy == self.index["settings"]["strategy"]]
            return min(chosen or self.results, key=lambda r: (-r.shots, -len(r.aux)))
        wanted = pick.strip("/")
        fitting = [r for r in self.results if f"/{wanted}/" in f"/{r.model}/"]
        if not fitting:
            raise unknown("model", wanted, (r.model for r in self.results))
        return fitting[0]

    def encoder(self, modality: str) -> Encoder:
        """The encoder of a modality, as it was in training.

        Raises:
            UsageError: if the run has no such modality.
            RunError: if weights or preprocessing differ from training's.
        """
        ways = self.index["ways"]
        if modality not in ways:
            raise unknown("modality of this run", modality, ways)
        return encoder_again(ways[modality], modality, self.plugins, self.device, self.folder)

    def _reader(self, reference: str) -> Encoder:
        """An encoder that the target's items are read by besides."""
        way = {"encoder": reference, "fingerprint": self.index["readers"].get(reference)}
        return encoder_again(way, self.target, self.plugins, self.device, self.folder)

    def strategy(self, result: Result) -> Strategy:
        """The strategy of a model, with the settings it had."""
        settings = self.index["settings"]
        given = settings["set"] if result.strategy == settings["strategy"] else None
        return make_strategy(result.strategy, given, self.plugins)

    def depths(self, result: Result) -> Mapping[str, int]:
        """How deep the encoders were opened for a model."""
        return self.strategy(result).depths(self.target, result.aux, self.index.get("namer"))

    def model(self, result: Result, encoders: Mapping[str, Encoder]) -> nn.Module:
        """A model again, with its `towers`."""
        path = self.folder / result.model / MODEL
        try:
            restored = self.strategy(result).restore(self.towers(result, encoders), read_tensors(path))
        except (KeyError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{path}: does not hold a model of strategy {result.strategy!r} ({described(error)})"
            ) from error
        return restored.to(self.device).eval()

    def towers(self, result: Result, encoders: Mapping[str, Encoder]) -> Towers:
        """As a model's training began, for the modalities of `encoders` and for those that its strategy opened."""
        depths, centres, towers = self.depths(result), self._beside(result, CENTRES), Towers()
        for modality in dict.fromkeys((*encoders, *depths)):
            encoder, depth = encoders.get(modality) or self.encoder(modality), depths.get(modality, 0)
            tower = Tower(self._way_home(modality, encoder, depth), centres.get(modality))
            towers[modality] = begin(tower, taken_over(self.folder, modality, depth))
        return towers

    def _way_home(self, modality: str, encoder: Encoder, depth: int) -> nn.Module:
        way = self.index["ways"][modality]
        path = self.folder / map_file(modality)
        tensors = read_tensors(path) if way["aligner"] else {}
        try:
            given = self.index["settings"].get("aligner_set")
            return opened(restored(way["aligner"], tensors, encoder, self.plugins, given), encoder, depth)
        except (KeyError, ValueError, RuntimeError) as error:
            raise RunError(f"{path}: does not hold a map of {way['aligner']!r} ({described(error)})") from error

    def predict(
        self, items: Sequence[Any], *, modality: str | None = None, pick: str | None = None
    ) -> list[Prediction]:
        """Predictions for items, in their order; one that can't be read has an error instead of a label.

        Args:
            items: paths, or what the encoder reads. A string is a path, unless the encoder reads names.
            modality: of the items; None: by the paths' suffix, else the run's target.
            pick: which model, see `pick`.
        """
        if isinstance(items, str | Path):
            raise UsageError(f"predict takes a list of items: [{str(items)!r}]")
        result = self.pick(pick)
        by_modality: dict[str, list[int]] = {}
        for i, item in enumerate(items):
            by_modality.setdefault(modality or self._modality(item), []).append(i)
        predictions: list[Prediction | None] = [None] * len(items)
        for name, rows in by_modality.items():
            encoder = self.encoder(name)
            given = [items[i] if encoder.accepts_names else _as_path(items[i]) for i in rows]
            for i, prediction in zip(rows, self._predict(result, encoder, given), strict=True):
                predictions[i] = replace(prediction, item=items[i])
        return [prediction for prediction in predictions if prediction is not None]

    def _modality(self, item: Any) -> str:
        known = {s: m for s, m in self.plugins.suffixes().items() if m in self.index["ways"]}
        found = modality_of(Path(item).name, known) if isinstance(item, str | Path) else None
        return found or self.target

    def _read(self, store: FeatureStore, result: Result, encoder: Encoder, items: Sequence[Any]) -> Rows:
        """Items as a model and its rule take them."""
        modality, depth = encoder.modality, self.depths(result).get(encoder.modality, 0)
        strategy = self.strategy(result) if modality == self.target else None
        readings = readings_of(strategy, self.rule(result), modality, result.aux, depth)

        def tower() -> Tower:
            return Tower(self._way_home(modality, encoder, 0), self._beside(result, CENTRES).get(modality)).cpu()

        return read_rows(store, encoder, items, depth, readings, by=self._reader, tower=tower)

    def _predict(self, result: Result, encoder: Encoder, items: Sequence[Any]) -> Iterator[Prediction]:
        read = self._read(FeatureStore(None), result, encoder, items)
        labels = unique(self.classes)
        values: Iterator[tuple[list[float], int]] = iter(())
        if read.stream is not None:
            rule = self.rule(result)
            found = decide(rule, self.model(result, {encoder.modality: encoder}), read.stream, self.device)
            values = iter(zip(found.tolist(), decisions(rule, found).tolist(), strict=True))
        for i, item in enumerate(items):
            if i in read.failed:
                yield Prediction(item, None, {}, read.failed[i].reason)
            else:
                chances, decided = next(values)
                label = None if decided == NONE else labels[decided]
                yield Prediction(item, label, dict(zip(labels, chances, strict=True)), abstained=label is None)

    def evaluate(
        self,
        data: str | None = None,
        *,
        pick: str | None = None,
        metric: str | None = None,
        present: bool = False,
    ) -> Result:
        """Score a model again: on its own test split, or on other data.

        Args:
            data: a dataset's name, a folder or a file, whose classes are among the run's; its test split is scored,
                or all of it where it has no splits. None: the data of training, split as they were.
            pick: which model, see `pick`.
            metric: its name; None: the run's.
            present: decide among the classes that the scored items have, not among all of the run's. So are published
                figures on versions of a test set that hold some of its classes (ImageNet-A, ImageNet-R).

        Raises:
            DataError: if the data hold a class that training never saw.
        """
        result = self.pick(pick)
        samples = scored(self.index, self.folder, data, result.seed, self.plugins, self.cache, self.listener)
        encoder = self.encoder(self.target)
        read = self._read(self.store, result, encoder, [sample.item for sample in samples])
        if read.stream is None:
            raise DataError(f"no {self.target} item of {data or self.index['dataset']} can be read")
        labels, rule = torch.tensor([samples[i].label or 0 for i in read.kept]), self.rule(result)
        probabilities = decide(rule, self.model(result, {self.target: encoder}), read.stream, self.device)
        among = torch.tensor(sorted(set(labels.tolist())), device=probabilities.device) if present else None
        predicted = decisions(rule, probabilities, among).cpu()
        name = metric or self.index["settings"]["metric"]
        return replace(
            result,
            metric=name,
            value=measure(name, labels, predicted),
            n=len(labels),
            split="test" if data is None else data,
            coverage=coverage(predicted) if rule.abstains else None,
        )

    @property
    def predictor(self) -> Predictor:
        """The decision rule of the model that `pick` gives."""
        return self.rule(self.pick())

    def rule(self, result: Result) -> Predictor:
        """The decision rule of a model, as it was in training."""
        settings = self.index["settings"]
        name = result.predictor or settings["predictor"]
        own = settings["predictor"] or result.strategy == settings["strategy"]
        found: Predictor = self.plugins.predictors.find(name).load()(settings.get("predictor_set") if own else None)
        found.tensors = self._beside(result, RULE)
        return found

    def _beside(self, result: Result, name: str) -> dict[str, Tensor]:
        """Tensors of a file beside a model, or in the run's folder, on the device; empty if there is no such file."""
        places = (self.folder / result.model / name, self.folder / name)
        found = next((read_tensors(path) for path in places if path.exists()), {})
        return {key: value.to(self.device) for key, value in found.items()}


def _as_path(item: Any) -> Any:
    return Path(item) if isinstance(item, str) else item
