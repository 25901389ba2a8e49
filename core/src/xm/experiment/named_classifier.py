"""A classifier of one modality that nothing is known for but the names of its classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xm.alignment.maker import AlignmentMaker, WaysHome
from xm.data.types import Dataset
from xm.encoders.choice import Chosen, EncoderChoice
from xm.encoders.encoder import Encoder
from xm.encoders.store import FeatureStore
from xm.evaluation.report import Prediction
from xm.experiment.home import Home
from xm.experiment.predictions import predictions, together
from xm.experiment.readings import read_rows, readings_of
from xm.experiment.rules import Rules
from xm.experiment.settings import TrainSettings
from xm.foundation.errors import UsageError, no_names
from xm.foundation.events import Event, Listener
from xm.learning.context import Context, adapt
from xm.learning.model import Tower, Towers
from xm.learning.predictor import decide, decisions
from xm.learning.strategy import Strategy, make_strategy
from xm.learning.stream import Reading
from xm.plugins.plugin_manager import PluginManager


@dataclass
class NamedClassifier:
    """What ``xm train --shots 0`` makes of class names and a target, without items of it.

    Attributes:
        settings: of such a training; `modality` is the target.
        plugins: that strategies, aligners and rules come from.
        dataset: of the classes and templates; there are no samples in it.
        encoders: of every modality.
        named_by: the encoder that reads class names.
        device: where to compute.
        cache: for embedded names.
        listener: hears notes and warnings.

    Raises:
        UsageError: if nothing brings the target's encoder and that of names together.
    """

    settings: TrainSettings
    plugins: PluginManager
    dataset: Dataset
    encoders: EncoderChoice
    named_by: Chosen
    device: torch.device
    cache: Path
    listener: Listener

    def __post_init__(self) -> None:
        self.target = self.settings.modality
        self.encoder: Encoder = self.encoders[self.target].encoder
        self.namer = self.named_by.encoder
        self.home = self._home()
        self.strategy: Strategy = self._made_strategy(self.settings.strategy, None)
        self.rules = Rules(self.settings, self.plugins, self.device)
        self.context = self._context()
        self.model = adapt(self.strategy, self.context)

    def _made_strategy(self, name: str, settings: Mapping[str, Any] | None) -> Strategy:
        return make_strategy(name, settings, self.plugins)

    def _home(self) -> Home:
        store = FeatureStore(self.cache / "features", listener=self.listener)
        maker = AlignmentMaker(
            self.plugins,
            self.encoders,
            store,
            self.settings.aligner,
            device=self.device,
            listener=self.listener,
            descriptions=self.dataset.descriptions,
        )
        return Home(
            target=self.target,
            aux=(self.namer.modality,),
            dataset=self.dataset,
            pairable=self.dataset,
            encoders=self.encoders,
            align=WaysHome(maker, self.dataset),
            store=store,
            device=self.device,
            note=lambda text: self.listener(Event("note", {"message": text})),
        )

    def _context(self) -> Context:
        """What a strategy is told: the names, and no sample."""
        home, target, namer = self.home, self.target, self.namer.modality
        texts = home.texts
        if texts is None:
            raise no_names()
        depths = self.strategy.depths(target, (namer,), namer)
        if any(depths.values()):
            raise UsageError(
                f"strategy {self.settings.strategy!r} tunes encoders, and there is nothing to tune them on"
            )
        towers = Towers()
        for encoder in (self.encoder, self.namer):
            way = home.align(encoder, self.encoder)
            towers[encoder.modality] = Tower(way.map.to(self.device))
        of, by = (self.encoders[target], self.named_by)
        meet = f", which enter its space by {way.aligner}" if way.aligner else ", in the same space"
        home.note(f"{target}: encoder {of.reference} ({of.why}); names: encoder {by.reference} ({by.why}){meet}")
        context = Context(
            classes=self.dataset.classes,
            target=target,
            dim=self.encoder.dim,
            train={namer: texts},
            val=None,
            named=frozenset((namer,)),
            towers=towers,
            device=self.device,
            read_names=lambda: home.texts,
            read_semantics=home.semantics,
            read_texts=home.read,
            listener=self.listener,
            namer=namer,
            read_prototypes=lambda: home.prototypes,
            make=self._made_strategy,
        )
        context.predictor = self.rules.of(
            self.strategy,
            chosen=True,
            classes=context.classes,
            read_names=lambda: home.texts,
            read_prototypes=lambda: home.prototypes,
        )
        return context

    def predict(self, items: Sequence[Any]) -> Iterator[Prediction]:
        """One an item."""
        rule, device, labels = self.context.predictor, self.device, range(len(self.dataset.classes))
        if rule.scope != "item":
            name = self.rules.name(self.strategy)
            self.listener(Event("warning", {"message": together(f"the decision rule {name}")}))
        read = read_rows(
            FeatureStore(None),
            self.encoder,
            items,
            0,
            readings_of(self.strategy, rule, self.target, (self.namer.modality,), 0),
            by=lambda reference: self.home.readers.chosen(Reading(encoder=reference)).encoder,
            tower=lambda: Tower(self.home.align(self.encoder, self.encoder).map).cpu(),
        )
        found = None
        if read.stream is not None:
            probabilities = decide(rule, self.model, read.stream, device)
            found = probabilities, decisions(rule, probabilities)
        return predictions(items, read.failed, found, self.dataset.classes, labels)
