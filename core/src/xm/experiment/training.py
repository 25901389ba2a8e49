"""Experiments: every subset of auxiliary modalities x shots x seeds, from data to a run folder."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from xm.alignment.aligner import Aligner
from xm.alignment.maker import AlignmentMaker, WaysHome
from xm.data.checks import speechless
from xm.data.contents import Contents
from xm.data.open import located, open_dataset
from xm.data.task import Task
from xm.data.unlabelled import NONE, REST, SPLIT, open_unlabelled
from xm.data.where import parts
from xm.encoders.choice import EncoderChoice
from xm.encoders.store import FeatureStore
from xm.evaluation.metrics import find_metric
from xm.evaluation.report import Report, versions
from xm.evaluation.significance import Hits, with_the_names_alone, with_the_target_alone
from xm.experiment.cells import Cells
from xm.experiment.drawing import Drawing
from xm.experiment.fitting import Cell, fit_all
from xm.experiment.home import Home
from xm.experiment.knowledge import with_semantics
from xm.experiment.learned import Learned
from xm.experiment.resuming import key_of
from xm.experiment.rules import Rules
from xm.experiment.settings import TrainSettings, with_templates
from xm.experiment.starting import Starts
from xm.experiment.writer import RunWriter
from xm.foundation.device import pick_device
from xm.foundation.errors import UsageError
from xm.foundation.events import Event, Listener, logged, silent
from xm.foundation.files import cache_dir
from xm.foundation.layout import LEARNED
from xm.learning.objectives import Objective, find_objective
from xm.learning.strategy import Strategy, make_strategy
from xm.plugins.blame import blaming
from xm.plugins.config import validated
from xm.plugins.plugin_manager import PluginManager, manager
from xm.plugins.specs import StrategySpec


@blaming()
def train(
    modality: str, *, listener: Listener = logged, plugins: PluginManager | None = None, **settings: Any
) -> Report:
    """Adapt a classifier for `modality` with few samples of it and of others, and test it.

    Args:
        modality: the target.
        listener: hears progress, warnings and results; by default warnings are logged.
        plugins: the plugin manager; the process's own if None.
        **settings: the fields of `xm.experiment.TrainSettings`; each is also a flag of ``xm train``.

    Returns:
        The report; its `run` is a folder that `xm.load` reads.

    Raises:
        XMError: for whatever is wrong with settings, data or plugins. Nothing is left behind then but the cache, and
            models that were finished: the same call goes on with them, as it does after a kill.
    """
    given = {"modality": modality, **settings}
    return Experiment(validated(TrainSettings, given, "train"), plugins or manager(), listener).run()


class Experiment:
    """One call of `train`, step by step: data, encoders, towers, tasks, embeddings, cells."""

    def __init__(
        self,
        settings: TrainSettings,
        plugins: PluginManager,
        listener: Listener = logged,
        contents: Contents | None = None,
    ) -> None:
        self.settings = settings
        self.plugins = plugins
        self.listener = listener
        self.contents = contents or Contents()
        self.notes: list[str] = []
        self.trackers: Listener = silent
        self.device = pick_device(settings.device)
        self.rules = Rules(settings, plugins, self.device)
        self._check_names()
        self.cache = settings.cache or cache_dir()
        self.starts = Starts.open(settings.start, plugins, settings.device, self.cache)
        dataset = with_templates(open_dataset(settings.data, plugins, self.cache), settings.templates)
        self.dataset = with_semantics(dataset, settings)
        self.encoders = EncoderChoice(plugins, self.dataset, self.device, settings.encoders)
        self.hits: dict[str, Hits] = {}

    def _check_names(self) -> None:
        """Everything that can be wrong before data are looked at."""
        for name in self.strategies:
            self.rules.make(self.strategy(name), chosen=name == self.settings.strategy)
        for name in self.settings.trackers:
            self.plugins.trackers.find(name)
        if self.settings.aligner:
            self.plugins.aligners.find(self.settings.aligner).make(Aligner, self.settings.aligner_set)
        find_metric(self.settings.metric)

    def _tell(self, event: Event) -> None:
        self.trackers(event)
        self.listener(event)

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self._tell(Event("note", {"message": text}))

    @cached_property
    def home(self) -> Home:
        """The target's space."""
        settings, strict = self.settings, self.settings.on_error == "fail"
        pairable = self.drawing.pairable()
        store = FeatureStore(self.cache / "features", strict=strict, listener=self._tell, contents=self.contents)
        maker = AlignmentMaker(
            self.plugins,
            self.encoders,
            store,
            settings.aligner,
            settings.aligner_set,
            device=self.device,
            listener=self._tell,
            descriptions=self.dataset.descriptions,
        )
        return Home(
            target=settings.modality,
            aux=settings.aux,
            dataset=self.dataset,
            pairable=pairable,
            encoders=self.encoders,
            align=WaysHome(maker, pairable),
            store=store,
            device=self.device,
            note=self._note,
        )

    @cached_property
    def drawing(self) -> Drawing:
        """Of tasks; class names are samples of the auxiliary modalities that hold or read them."""
        given = {sample.modality for sample in self.dataset.names}
        aux = self.settings.aux
        named = frozenset(m for m in aux if m in given or self.encoders[m].encoder.accepts_names)
        if named - given and (said := speechless(self.dataset)):
            self._tell(Event("warning", {"message": said}))
        source, items = self.settings.unlabelled, None
        if source not in (NONE, REST, SPLIT):
            items = open_unlabelled(source, (self.settings.modality, *aux), self.plugins, self.cache)
        return Drawing(self.settings, self.dataset, named, items, self.contents.key)

    @cached_property
    def cells(self) -> Cells:
        """Fits and tests models, once home has samples."""
        return Cells(
            settings=self.settings,
            home=self.home,
            strategy=self.strategy,
            objective=self.objective,
            rules=self.rules,
            named=self.drawing.named,
            numbers={id(sample.item): number for number, sample in enumerate(self.dataset.samples)},
            listener=self._tell,
            make=lambda name, given: make_strategy(name, given, self.plugins),
            starts=self.starts,
            parts=parts(self.settings.conditions),
            viewed=self.drawing.viewed,
        )

    @cached_property
    def strategies(self) -> dict[str, StrategySpec]:
        """The chosen strategy, then the baselines."""
        chosen = self.plugins.strategies.find(self.settings.strategy)
        others = [s for s in self.plugins.strategies.values() if s.baseline and self.settings.baselines]
        return {spec.name: spec for spec in (chosen, *others)}

    @property
    def _reclasses(self) -> bool:
        """Whether a strategy's models may take in new classes."""
        return any(spec.reclasses for spec in self.strategies.values())

    def strategy(self, name: str) -> Strategy:
        """A new strategy of that name; the user's settings go to the chosen one."""
        made = make_strategy(name, self.settings.set if name == self.settings.strategy else None, self.plugins)
        made.objective = self.objective
        return made

    @cached_property
    def objective(self) -> Objective:
        return find_objective(self.settings.objective, self.plugins, self.settings.objective_set)

    def run(self) -> Report:
        """Do it all and write the run folder."""
        for modality in (self.settings.modality, *self.settings.aux):
            _ = self.encoders[modality]  # a wrong reference is told before anything is computed
        for views in (self.drawing.views, self.drawing.test_views):
            views.check(self.encoders[self.settings.modality].encoder)
        cells = list(self._cells())
        readings = [reading for name, aux, _, _ in cells for reading in self.cells.readings(name, aux).values()]
        self.home.readers.check(readings)
        if not cells:
            raise UsageError(f"strategy {self.settings.strategy!r} needs an auxiliary modality; name one with --aux")
        tasks = self.tasks()
        contents, unsure = self.contents.of_tasks(tasks), self.starts.check(tasks, self.contents)
        chosen = self.strategy(self.settings.strategy)
        wanted = {aux: self.cells.depths(name, aux) for name, aux, _, _ in cells if name == self.settings.strategy}
        self.starts.fit(wanted.values(), self.encoders, self.settings.strategy, chosen.uses_runs)
        with RunWriter(self.settings, self.plugins, self._key(tasks, contents), self._tell) as writer:
            self.trackers = writer.trackers
            for note in (*self.drawing.notes(), *self.starts.notes(), *unsure):
                self._note(note)
            if self.settings.centre == "none":
                for name in self.strategies:  # what a rule lacks is told before items are read
                    self.cells.rule(name, self.strategy(name))
            if twice := self.contents.twice(tasks.values()):
                self._tell(Event("warning", {"message": twice}))
            depths = {name: self.cells.depths(name, aux) for name, aux, _, _ in cells}
            viewed = [s for task in tasks.values() for seen in self.drawing.viewed(task).values() for s in seen]
            self.home.move_in(tasks.values(), depths.values(), readings, viewed)
            results, self.hits = fit_all(self.cells, cells, tasks, writer, self._tell, self.listener)
            references = tuple(self.cells.references(tasks, writer.once))
            comparisons = (
                *with_the_target_alone(results, self.hits),
                *with_the_names_alone(results, self.hits, self.settings.strategy),
            )
            told, start = tuple(self.notes), tuple(self.starts.index())
            report = Report(tuple(results), references, comparisons, told, "", versions(self.plugins), start)
            learned = Learned.of_tasks(tasks, self.contents, self.starts.keys())
            more = {**self.starts.files(), Path(LEARNED): learned.tensors}
            maps = self.home.maps(names=self._reclasses)
            return writer.finish(report, self._index(tasks, contents), maps, more)

    def _key(self, tasks: Mapping[tuple[int, int], Task], contents: Mapping[str, str]) -> str:
        """Equal for trainings whose results are: what one of them has finished serves the other."""
        used = {m: self.encoders[m].encoder for m in (self.settings.modality, *self.settings.aux)}
        if self.home.namer is not None:
            used[self.home.namer.encoder.modality] = self.home.namer.encoder
        strategies = {name: self.strategy(name) for name in self.strategies}
        rules = [self.rules.make(made, chosen=name == self.settings.strategy) for name, made in strategies.items()]
        return key_of(
            self.settings,
            self.dataset,
            self.home.pairable,
            [(task.digest, task.unlabelled_digest) for task in tasks.values()],
            contents,
            [
                *(encoder.fingerprint() for encoder in used.values()),
                *self.home.readers.fingerprints().values(),
                *self.starts.key(),
                repr(self.drawing.unseen_names()),
            ],
            [self.objective, *strategies.values(), *rules],
            self.plugins,
        )

    def _index(self, tasks: Mapping[tuple[int, int], Task], contents: Mapping[str, str]) -> dict[str, Any]:
        """What a run says of itself besides its results."""
        return {
            "dataset": self.dataset.name,
            "classes": list(self.dataset.classes),
            "settings": self.settings.model_dump(mode="json"),
            "ways": self.home.ways(),
            "namer": self.home.reads_names,
            "names": self.home.names() if self._reclasses else None,
            "readers": self.home.readers.fingerprints(),
            "tasks": {f"shots-{shots}/seed-{seed}": task.digest for (shots, seed), task in tasks.items()},
            "unlabelled": {f"shots-{k}/seed-{i}": t.unlabelled_digest for (k, i), t in tasks.items() if t.unlabelled},
            "unseen": self.drawing.unseen_names(),
            "contents": contents,
            "tests": {str(seed): self.contents.of(task.test) for (_, seed), task in tasks.items()},
            "place": located(self.settings.data, self.plugins),
        }

    def tasks(self) -> dict[tuple[int, int], Task]:
        """By shots and seed; see `Drawing.tasks`."""
        needy = [name for name, spec in self.strategies.items() if spec.needs_unlabelled]
        return self.drawing.tasks(((shots, seed) for _, _, shots, seed in self._cells()), needy)

    def _cells(self) -> Iterator[Cell]:
        """Strategy, auxiliary modalities, shots and seed of every model."""
        aux = self.settings.aux
        subsets = [c for size in range(len(aux) + 1) for c in itertools.combinations(aux, size)]
        for name, spec in self.strategies.items():
            for subset in subsets:
                if not spec.needs_target and not subset:
                    continue
                least = 0 if spec.needs_unlabelled and subset else 1
                shots = tuple(s for s in self.settings.shots if s >= least) if spec.needs_target else (0,)
                for count, seed in itertools.product(shots, self.settings.seeds):
                    yield name, subset, count, seed
