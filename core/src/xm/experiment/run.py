"""Run folders, read without data or cache; `xm.foundation.layout` says what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from xm.data.naming import unique
from xm.data.paths import modality_of
from xm.encoders.encoder import Encoder
from xm.encoders.store import FeatureStore
from xm.evaluation.decisions import Decisions
from xm.evaluation.metrics import coverage, measure
from xm.evaluation.report import Prediction, Result
from xm.experiment.figures import confined
from xm.experiment.keeping import Keeping
from xm.experiment.new_classes import labels_of, with_new
from xm.experiment.predictions import by_modality, predictions, together
from xm.experiment.scored import items_of, scored
from xm.experiment.tested import kept_decisions
from xm.foundation.errors import DataError, unknown
from xm.foundation.events import Event, Listener, logged
from xm.foundation.files import cache_dir
from xm.learning.predictor import Predictor, decisions
from xm.learning.stream import Stream
from xm.plugins.blame import blaming
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


class Run(Keeping):
    """A run, read lazily: its results, its models, and prediction with them. What is made of it is kept."""

    def __init__(
        self,
        folder: Path,
        plugins: PluginManager,
        device: str = "auto",
        cache: Path | None = None,
        listener: Listener = logged,
    ) -> None:
        super().__init__(folder, plugins, device)
        self.listener = listener
        self.cache = cache or cache_dir()
        self.store = FeatureStore(self.cache / "features", listener=listener)

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

    @blaming()
    def predict(
        self,
        items: Sequence[Any],
        *,
        modality: str | None = None,
        pick: str | None = None,
        add_classes: Sequence[str] = (),
        only: Sequence[str] = (),
    ) -> list[Prediction]:
        """Predictions for items, in their order; one that can't be read has an error instead of a label.

        Args:
            items: paths, or what the encoder reads. A string is a path, unless the encoder reads names.
            modality: of the items; None: by the paths' suffix, else the run's target.
            pick: which model, see `pick`.
            add_classes: names of new classes, which the model takes in (`xm.Strategy.reclass`).
            only: names of the classes to decide among; none: all.

        Raises:
            UsageError: for a new class that is there already, or a model that can't take any in.
        """
        result, classes = self.pick(pick), with_new(self.classes, add_classes)
        labels = labels_of(classes, only)
        if result.transductive or self.rule(result).scope != "item":
            self.listener(Event("warning", {"message": together(f"model {result.model}")}))

        def predict(name: str, given: list[Any]) -> Iterator[Prediction]:
            return self._predict(result, self.encoder(name), given, classes, labels)

        return by_modality(items, lambda item: modality or self._modality(item), self.encoder, predict)

    def candidates(self, add_classes: Sequence[str] = (), only: Sequence[str] = ()) -> list[str]:
        """The classes that `predict` decides among, by their names there, in order.

        Raises:
            UsageError: as `predict` does.
        """
        classes = with_new(self.classes, add_classes)
        return [unique(classes)[label] for label in labels_of(classes, only)]

    def _modality(self, item: Any) -> str:
        known = self.plugins.suffixes().among(self.index["ways"])
        found = modality_of(Path(item), known) if isinstance(item, str | Path) else None
        return found or self.target

    def _decided(
        self, result: Result, inputs: Stream, encoder: Encoder, classes: Sequence[str], labels: Sequence[int]
    ) -> tuple[Predictor, Tensor]:
        """The rule of a model, and its probabilities (n, classes), zero but for some.

        Args:
            result: of the model.
            inputs: n items.
            encoder: of their modality.
            classes: the run's, and new ones behind them.
            labels: of the classes to decide among.
        """
        model, rule = self.fitted(result, encoder, classes)
        found = self.decide(result, rule, model, inputs, len(classes))
        return rule, confined(model, inputs, found, labels) if len(labels) < len(classes) else found

    def _predict(
        self, result: Result, encoder: Encoder, items: Sequence[Any], classes: Sequence[str], labels: Sequence[int]
    ) -> Iterator[Prediction]:
        read = self.read(FeatureStore(None), result, encoder, items)
        found = None
        if read.stream is not None:
            rule, probabilities = self._decided(result, read.stream, encoder, classes, labels)
            found = probabilities, decisions(rule, probabilities)
        return predictions(items, read.failed, found, unique(classes), labels)

    @blaming()
    def evaluate(
        self,
        data: str | None = None,
        *,
        pick: str | None = None,
        metric: str | None = None,
        present: bool = False,
        add_classes: Sequence[str] | Literal["data"] = (),
        only: Sequence[str] = (),
    ) -> Result:
        """Score a model again: on its own test split, or on other data.

        Args:
            data: a dataset's name, a folder or a file, whose classes are among the run's; its test split is scored,
                or all of it where it has no splits. None: the data of training, split as they were.
            pick: which model, see `pick`.
            metric: its name; None: the run's.
            present: decide among the classes that the scored items have, not among all of the run's. So are published
                figures on versions of a test set that hold some of its classes (ImageNet-A, ImageNet-R).
            add_classes: names of new classes, which the model takes in (`xm.Strategy.reclass`); "data": those of the
                data that the run lacks.
            only: names of the classes to decide among, and to score items of; none: all.

        Raises:
            DataError: if the data hold a class that training never saw, and it is not to be added.
            UsageError: for a new class that is there already, or a model that can't take any in.
        """
        return self.decisions(
            data, pick=pick, metric=metric, present=present, add_classes=add_classes, only=only
        ).result

    def decisions(
        self,
        data: str | None = None,
        *,
        pick: str | None = None,
        metric: str | None = None,
        present: bool = False,
        add_classes: Sequence[str] | Literal["data"] = (),
        only: Sequence[str] = (),
    ) -> Decisions:
        """What a model decides on the items that `evaluate` scores, which says what the arguments are and is raised."""
        result, given = self.pick(pick), None if add_classes == "data" else with_new(self.classes, add_classes)
        places = (self.plugins, self.cache, self.listener)
        samples, classes = scored(self.index, self.folder, data, result.seed, *places, classes=given)
        chosen = labels_of(classes, only)
        samples = [sample for sample in samples if sample.label in chosen]
        encoder = self.encoder(self.target)
        read = self.read(self.store, result, encoder, [sample.item for sample in samples])
        if read.stream is None:
            raise DataError(f"no {self.target} item of {data or self.index['dataset']} can be read")
        labels = torch.tensor([samples[i].label or 0 for i in read.kept])
        rule, probabilities = self._decided(result, read.stream, encoder, classes, chosen)
        among = torch.tensor(sorted(set(labels.tolist())), device=probabilities.device) if present else None
        predicted = decisions(rule, probabilities, among).cpu()
        name = metric or self.index["settings"]["metric"]
        new = list(classes[len(self.classes) :])
        figure = replace(
            result,
            record={**result.record, **({"added": new} if new else {})},
            metric=name,
            value=measure(name, labels, predicted),
            n=len(labels),
            split="test" if data is None else data,
            coverage=coverage(predicted) if rule.abstains else None,
        )
        items = [samples[i].item for i in read.kept]
        return Decisions(figure, tuple(unique(classes)), labels, predicted, items, probabilities.cpu())

    def tested(self, pick: str | None = None, *, metric: str | None = None, items: bool = False) -> Decisions:
        """What a model decided on test in training, as the run keeps it: nothing is encoded, and no model made.

        Args:
            pick: which model, see `pick`.
            metric: of the result; None: the run's.
            items: whether to look the items up, for which the data of training must be there.

        Raises:
            RunError: if the run does not keep them.
            DataError: if the data are gone or have changed.
        """
        result = self.pick(pick)
        label, predicted, number = kept_decisions(self.folder, result, len(self.classes))
        known = items_of(self.index, result.seed, self.plugins, self.cache) if items else {}
        if metric is not None:
            result = replace(result, metric=metric, value=measure(metric, label, predicted))
        found = [known.get(i) for i in number.tolist()] if items else []
        return Decisions(result, tuple(unique(self.classes)), label, predicted, found)

    @property
    def predictor(self) -> Predictor:
        """The decision rule of the model that `pick` gives."""
        return self.rule(self.pick())
