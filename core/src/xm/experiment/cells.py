"""The cells of an experiment: a strategy, a set of auxiliary modalities and a task make one model and its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from xm.data.task import Task
from xm.data.types import Sample
from xm.data.unlabelled import NONE
from xm.evaluation.metrics import measure
from xm.evaluation.report import Reference, Result, mean_std
from xm.experiment.asked import Asked
from xm.experiment.centring import known_without, without
from xm.experiment.figures import by_class, figure, figures, restricted, unseen_in
from xm.experiment.home import Home
from xm.experiment.pool import check_readable
from xm.experiment.readings import readings_of
from xm.experiment.restoring import opened_of, why_not_restored
from xm.experiment.rules import Rules
from xm.experiment.settings import TrainSettings
from xm.experiment.starting import Starts
from xm.experiment.tested import DECIDED, RESTRICTED, Tested
from xm.experiment.views import plain
from xm.foundation.errors import DataError, UsageError
from xm.foundation.events import Event, Listener
from xm.learning.context import Context, adapt
from xm.learning.objectives import Objective
from xm.learning.predictor import Predictor, decide, decisions, depends_on_others
from xm.learning.strategy import Strategy
from xm.learning.stream import Reading, Stream
from xm.plugins.sound import Sound, check_plain, check_probabilities, sound_mapping


@dataclass
class Cells:
    """Fits and tests the models of an experiment.

    Attributes:
        settings: of the experiment.
        home: with the samples of all tasks.
        strategy: makes a new strategy of a name.
        objective: that strategies minimise.
        rules: that decide on test.
        named: the auxiliary modalities that class names are samples of.
        numbers: of the dataset's items, by identity.
        listener: hears steps and warnings.
        make: makes a registered strategy by its name and settings.
        starts: runs that training starts from.
        parts: of test that have a row of their own: the split's name to whether a sample is in it.
        viewed: of a task, the samples of test seen in other ways, which have a row of their own: by the split's name.
    """

    settings: TrainSettings
    home: Home
    strategy: Callable[[str], Strategy]
    objective: Objective
    rules: Rules
    named: frozenset[str]
    numbers: Mapping[int, int]
    listener: Listener
    make: Callable[[str, Mapping[str, Any] | None], Strategy]
    starts: Starts
    parts: Mapping[str, Callable[[Sample], bool]] = field(default_factory=dict)
    viewed: Callable[[Task], Mapping[str, Sequence[Sample]]] = lambda task: {}
    _said: set[str] = field(default_factory=set)
    _restored: set[str] = field(default_factory=set)

    def depths(self, name: str, aux: Sequence[str]) -> Mapping[str, int]:
        """How deep a strategy opens encoders."""
        strategy = self.strategy(name)
        found = strategy.depths(self.home.target, aux, self.home.reads_names)
        depths: Mapping[str, int] = sound_mapping(strategy, "depths", found, int)
        return depths

    def readings(self, name: str, aux: Sequence[str]) -> dict[str, Reading]:
        """How else the target's items are read for a strategy and its rule; see `xm.Stream.also`."""
        strategy, target = self.strategy(name), self.home.target
        rule = self.rules.make(strategy, chosen=name == self.settings.strategy)
        return readings_of(strategy, rule, target, aux, self.depths(name, aux).get(target, 0))

    def rule(self, name: str, strategy: Strategy, context: Context | None = None) -> Predictor:
        """The decision rule for a strategy's models, prepared; with the class names of a context, if there is one."""
        return self.rules.of(
            strategy,
            chosen=name == self.settings.strategy,
            classes=self.home.dataset.classes,
            read_names=lambda: self.home.texts if context is None else context.texts,
            read_prototypes=lambda: self.home.prototypes,
        )

    def context(self, name: str, task: Task, aux: Sequence[str]) -> Context:
        """What a strategy is given: train, val and unlabelled items of a task, and nothing of test."""
        target, depths, pool, namer = self.home.target, self.depths(name, aux), self.home.pool, self.home.reads_names
        centres = self._centres(task)
        readings = self.readings(name, aux)

        def stream(modality: str, samples: Sequence[Sample]) -> Stream | None:
            found = pool.stream(modality, samples, depths.get(modality, 0), readings if modality == target else None)
            return None if found is None else without(found, centres, readings)

        streams = {m: stream(m, task.samples["train"][m]) for m in (target, *aux)}
        unlabelled = {m: stream(m, task.unlabelled.get(m, ())) for m in (target, *aux)}
        check_readable(task, streams)
        runs = self.starts.given()
        return Context(
            classes=task.classes,
            target=target,
            dim=self.home.encoder.dim,
            train={name: found for name, found in streams.items() if found is not None},
            val=stream(target, task.samples["val"][target]),
            named=self.named & set(aux),
            towers=self.starts.begin(self.home.towers_at(depths, centres), depths, runs),
            device=self.home.device,
            read_names=lambda: None if self.home.texts is None else without(self.home.texts, centres),
            read_semantics=lambda name: known_without(self.home.semantics(name), centres),
            read_texts=partial(self.home.read, depth=depths.get(namer, 0)) if namer else None,
            seed=task.seed,
            objective=deepcopy(self.objective),  # a StepObjective of its own; a function stays itself
            precision=self.settings.precision,
            listener=self.listener,
            unlabelled={name: found for name, found in unlabelled.items() if found is not None},
            namer=namer,
            depths=depths,
            read_prototypes=lambda: self.home.prototypes,
            make=self.make,
            runs=runs,
            readings=readings,
            make_reader=self.home.readers.reader,
            seen=None if task.seen is None else torch.tensor(sorted(task.seen), device=self.home.device),
        )

    def fit(self, name: str, task: Task, aux: tuple[str, ...], place: str) -> Tested:
        """The model of a cell, and its results.

        Args:
            name: of the strategy.
            task: that it learns and is tested on.
            aux: the auxiliary modalities.
            place: the model's folder in the run.

        Raises:
            DataError: if no item of test, or of a part of it, can be read.
            UsageError: if the model gives no numbers.
        """
        strategy, context = self.strategy(name), self.context(name, task, aux)
        asked = Asked(context)
        context.predictor = self.rule(name, strategy, context)
        started = time.perf_counter()
        model = adapt(strategy, context)
        seconds, known = time.perf_counter() - started, asked.known(task)
        check_plain(strategy, "what it records", context.record)
        tested, alone = self._test(name, model, context, task, task.test)
        labels = {
            "train": self.home.pool.labels(task.target, task.samples["train"][task.target]),
            "val": 0 if context.val is None else len(context.val),
        }
        if self.settings.unlabelled != NONE:
            labels["unlabelled"] = sum(map(len, context.unlabelled.values()))
        if any(start.used for start in context.runs):
            labels["start"] = sum(start.labels for start in context.runs if start.used)
        result = Result(
            target=context.target,
            aux=aux,
            strategy=name,
            init=strategy.init_name(context),
            shots=task.shots,
            seed=task.seed,
            split="test",
            metric=self.settings.metric,
            value=0.0,
            n=0,
            val=None if context.val is None else context.accuracy(model),
            labels=labels,
            transductive=not alone,
            model=place,
            record=context.record,
            seconds=round(seconds, 3),
            predictor=self.rules.name(strategy),
        )
        rows, abstains = self._rows(task, context), context.predictor.abstains
        results = list(figures(result, tested, rows, abstains=abstains))
        results[0] = replace(results[0], record={**result.record, **unseen_in(task.classes, task.seen, known)})
        for split, samples in self.viewed(task).items():
            seen, _ = self._test(name, model, context, task, samples)
            results.append(figure(result, split, seen["label"], seen["predicted"], abstains=abstains))
            tested |= {f"{split}/{key}": seen[key] for key in DECIDED}
        return Tested(model, tuple(results), tested, context.predictor.tensors, self._centres(task), rows)

    def _centres(self, task: Task) -> dict[str, Tensor]:
        """What embeddings are freed of, by modality."""
        return self.home.centres(task) if self.settings.centre == "unlabelled" else {}

    def _rows(self, task: Task, context: Context) -> dict[str, Tensor]:
        """What is scored, by name: rows of the decisions on test."""
        depth, readings = context.depths.get(task.target, 0), context.readings.values()
        samples = self.home.pool.readable(task.target, task.test, depth, readings)
        rows = {"test": torch.arange(len(samples))}
        for name, within in self.parts.items():
            rows[name] = torch.tensor([i for i, sample in enumerate(samples) if within(sample)], dtype=torch.long)
            if not len(rows[name]):
                raise DataError(f"no {task.target} item of {name} can be read (seed {task.seed})")
        if task.seen is not None:
            labels = torch.tensor([sample.label for sample in samples])
            rows |= by_class(labels, len(task.classes), task.seen)
        return rows

    def _test(
        self, name: str, model: nn.Module, context: Context, task: Task, test: Sequence[Sample]
    ) -> tuple[dict[str, Tensor], bool]:
        """What the model says of samples of test, or of views of them, and whether it judges each item alone."""
        target, depth, rule = task.target, context.depths.get(task.target, 0), context.predictor
        samples = self.home.pool.readable(target, test, depth, context.readings.values())
        stream = self.home.pool.stream(target, samples, depth, context.readings)
        if stream is None or stream.y is None:
            raise DataError(f"no {target} item of test can be read")
        inputs = replace(without(stream, context.towers.centres(), context.readings), y=None)
        with Sound(self.strategy(name), len(task.classes)) as sound:
            scores = decide(rule, sound.model("finish", model), inputs, self.home.device)
        if bool(scores.isnan().any()):
            raise UsageError(
                f"a model of shots {task.shots}, seed {task.seed} gives no numbers (NaN): its training went astray; "
                "lower its learning rate, as in --set lr=0.0001, or mend the strategy"
            )
        check_probabilities(rule, scores, len(task.classes))
        if name not in self._restored:
            self._try_to_restore(name, model, context, inputs)
        alone = rule.scope == "item"
        if alone and depends_on_others(rule, model, inputs, scores, self.home.device):
            alone = False
            self._warn_of_neighbours(name)
        items = torch.tensor([self.numbers[id(plain(sample.item))] for sample in samples])
        found = {"label": stream.y.cpu(), "predicted": decisions(rule, scores).cpu(), "item": items}
        if task.seen is not None:
            found[RESTRICTED] = restricted(rule, model, inputs, scores, stream.y, task.seen).cpu()
        return found, alone

    def _try_to_restore(self, name: str, model: nn.Module, context: Context, inputs: Stream) -> None:
        """Warn if the strategy can't make this model again: better now than when it is wanted."""
        self._restored.add(name)
        towers = self.starts.begin(self.home.towers_at(context.depths, context.towers.centres()), context.depths, ())
        towers = opened_of(towers, (context.target, *context.depths))
        if wrong := why_not_restored(self.strategy(name), model, towers, inputs, self.home.device):
            self.listener(Event("warning", {"message": wrong}))

    def _warn_of_neighbours(self, name: str) -> None:
        text = (
            f"{name}: answers depend on the other test items, though neither the strategy nor its decision rule says "
            "so: its results are marked transductive, and one file alone may get another answer from xm predict"
        )
        if text not in self._said:
            self._said.add(text)
            self.listener(Event("warning", {"message": text}))

    def references(
        self, tasks: Mapping[tuple[int, int], Task], once: Callable[[str, Callable[[], float]], float]
    ) -> Iterator[Reference]:
        """What the labels hidden in the pairs would have given: pairs of one class are labels in disguise.

        Args:
            tasks: by shots and seed.
            once: makes a figure by its name, unless an interrupted training did.
        """
        name, target = self.settings.strategy, self.home.target
        depths = self.depths(name, ())
        readings = self.readings(name, ())
        stream = self.home.pool.stream(target, self.home.paired, depths.get(target, 0), readings)
        shots = max(shots for shots, _ in tasks)
        if stream is None or not shots:
            return

        def figure(seed: int) -> float:
            task = tasks[shots, seed]
            context = self.context(name, task, ())
            context = replace(context, train={target: without(stream, context.towers.centres(), readings)})
            strategy = self.strategy(name)
            context.predictor = self.rule(name, strategy, context)
            tested, _ = self._test(name, adapt(strategy, context), context, task, task.test)
            return measure(self.settings.metric, tested["label"], tested["predicted"])

        results = [once(f"pair-labels/seed-{seed}", partial(figure, seed)) for seed in self.settings.seeds]
        text = f"{name} on the {target} side of the pairs, with its labels"
        yield Reference("pair-labels", text, len(stream), *mean_std(results), len(results))
