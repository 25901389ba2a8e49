"""The cells of an experiment: a strategy, a set of auxiliary modalities and a task make one model and its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from xm.data.task import Task
from xm.evaluation.metrics import measure
from xm.evaluation.report import Reference, Result, mean_std
from xm.experiment.home import Home
from xm.experiment.pool import check_readable
from xm.experiment.settings import TrainSettings
from xm.foundation.errors import DataError, UsageError
from xm.foundation.events import Listener
from xm.learning.objectives import Objective
from xm.learning.predictor import Predictor, decide
from xm.learning.strategy import Context, Strategy, adapt


@dataclass(frozen=True)
class Tested:
    """A fitted model and what it said of test.

    Attributes:
        model: itself.
        result: its figures.
        decisions: of test, (n,) each: ``label``, what the model ``predicted``, and ``item``, its number in the dataset.
    """

    model: nn.Module
    result: Result
    decisions: Mapping[str, Tensor]


@dataclass
class Cells:
    """Fits and tests the models of an experiment.

    Attributes:
        settings: of the experiment.
        home: with the samples of all tasks.
        strategy: makes a new strategy of a name.
        objective: that strategies minimise.
        predictor: that decides on test.
        named: the auxiliary modalities that class names are samples of.
        numbers: of the dataset's items, by identity.
        listener: hears steps and warnings.
    """

    settings: TrainSettings
    home: Home
    strategy: Callable[[str], Strategy]
    objective: Objective
    predictor: Predictor
    named: frozenset[str]
    numbers: Mapping[int, int]
    listener: Listener

    def depths(self, name: str, aux: Sequence[str]) -> Mapping[str, int]:
        """How deep a strategy opens encoders."""
        return self.strategy(name).depths(self.home.target, aux, self.home.reads_names)

    def context(self, name: str, task: Task, aux: Sequence[str]) -> Context:
        """What a strategy is given: train and val of a task, and nothing of test."""
        target, depths, pool, namer = self.home.target, self.depths(name, aux), self.home.pool, self.home.reads_names
        streams = {m: pool.stream(m, task.samples["train"][m], depths.get(m, 0)) for m in (target, *aux)}
        check_readable(task, streams)
        return Context(
            classes=task.classes,
            target=target,
            dim=self.home.encoder.dim,
            train={name: stream for name, stream in streams.items() if stream is not None},
            val=pool.stream(target, task.samples["val"][target], depths.get(target, 0)),
            named=self.named & set(aux),
            towers=self.home.towers_at(depths),
            device=self.home.device,
            read_names=lambda: self.home.texts,
            read_texts=partial(self.home.read, depth=depths.get(namer, 0)) if namer else None,
            seed=task.seed,
            objective=self.objective,
            predictor=self.predictor,
            precision=self.settings.precision,
            listener=self.listener,
        )

    def fit(self, name: str, task: Task, aux: tuple[str, ...], place: str) -> Tested:
        """The model of a cell, and its result.

        Args:
            name: of the strategy.
            task: that it learns and is tested on.
            aux: the auxiliary modalities.
            place: the model's folder in the run.

        Raises:
            DataError: if no item of test can be read.
            UsageError: if the model gives no numbers.
        """
        strategy, context = self.strategy(name), self.context(name, task, aux)
        started = time.perf_counter()
        model = adapt(strategy, context)
        seconds = time.perf_counter() - started
        decisions = self._test(model, task, self.depths(name, aux))
        result = Result(
            target=context.target,
            aux=aux,
            strategy=name,
            init=strategy.init_name(context),
            shots=task.shots,
            seed=task.seed,
            split="test",
            metric=self.settings.metric,
            value=measure(self.settings.metric, decisions["label"], decisions["predicted"]),
            n=len(decisions["label"]),
            val=None if context.val is None else context.accuracy(model),
            labels={
                "train": self.home.pool.labels(task.target, task.samples["train"][task.target]),
                "val": 0 if context.val is None else len(context.val),
            },
            transductive=self.predictor.scope == "set",
            model=place,
            record=context.record,
            seconds=round(seconds, 3),
        )
        return Tested(model, result, decisions)

    def _test(self, model: nn.Module, task: Task, depths: Mapping[str, int]) -> dict[str, Tensor]:
        target = task.target
        samples = self.home.pool.readable(target, task.test, depths.get(target, 0))
        stream = self.home.pool.stream(target, samples, depths.get(target, 0))
        if stream is None or stream.y is None:
            raise DataError(f"no {target} item of test can be read")
        scores = decide(self.predictor, model, stream, self.home.device)
        if bool(scores.isnan().any()):
            raise UsageError(
                f"a model of shots {task.shots}, seed {task.seed} gives no numbers (NaN): its training went astray; "
                "lower its learning rate, as in --set lr=0.0001, or mend the strategy"
            )
        items = torch.tensor([self.numbers[id(sample.item)] for sample in samples])
        return {"label": stream.y.cpu(), "predicted": scores.argmax(dim=1).cpu(), "item": items}

    def references(self, tasks: Mapping[tuple[int, int], Task]) -> Iterator[Reference]:
        """What the labels hidden in the pairs would have given: pairs of one class are labels in disguise.

        Args:
            tasks: by shots and seed.
        """
        name, target = self.settings.strategy, self.home.target
        depths = self.depths(name, ())
        stream = self.home.pool.stream(target, self.home.paired, depths.get(target, 0))
        shots = max(shots for shots, _ in tasks)
        if stream is None or not shots:
            return
        results = []
        for seed in self.settings.seeds:
            task = tasks[shots, seed]
            context = replace(self.context(name, task, ()), train={target: stream})
            tested = self._test(adapt(self.strategy(name), context), task, depths)
            results.append(measure(self.settings.metric, tested["label"], tested["predicted"]))
        text = f"{name} on the {target} side of the pairs, with its labels"
        yield Reference("pair-labels", text, len(stream), *mean_std(results), len(results))
