"""Readings: items read once more, by another encoder of their modality, in a view, or at another depth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from xm.data.types import Dataset, Sample
from xm.data.views import check_view
from xm.encoders.choice import Chosen, EncoderChoice
from xm.encoders.encoder import Encoder, known_views
from xm.encoders.store import FeatureStore
from xm.experiment.pool import Pool, read_once_more, seen_in
from xm.foundation.errors import ItemError, PluginError
from xm.learning.model import Tower, Towers
from xm.learning.predictor import Predictor
from xm.learning.strategy import Strategy
from xm.learning.stream import Inputs, Reader, Reading, Stream
from xm.plugins.sound import sound_mapping


def readings_of(
    strategy: Strategy | None, rule: Predictor, modality: str, aux: Sequence[str], depth: int
) -> dict[str, Reading]:
    """What a strategy and a rule want to have read once more, with the depths that None stands for.

    Args:
        strategy: of the model; None where the items are not of its target.
        rule: that decides.
        modality: of the items.
        aux: the auxiliary modalities.
        depth: at which the strategy opened their encoder.

    Raises:
        PluginError: if both use one name for two readings.
    """
    wanted = strategy.readings(modality, aux) if strategy else {}
    learned = dict(sound_mapping(strategy, "readings", wanted, Reading))
    asked = dict(sound_mapping(rule, "readings", rule.readings(modality), Reading))
    for name in learned.keys() & asked.keys():
        if learned[name] != asked[name]:
            raise PluginError(f"reading {name!r} is one of the strategy and another of the rule; rename one of them")
    return {
        name: reading if reading.depth is not None else replace(reading, depth=depth if reading.encoder is None else 0)
        for name, reading in {**learned, **asked}.items()
    }


@dataclass
class Readers:
    """The encoders that a target's readings are made by.

    Attributes:
        target: the modality.
        encoders: of the experiment.
        dataset: for class names and templates.
        store: for trunk outputs.
        device: where vectors are.
    """

    target: str
    encoders: EncoderChoice
    dataset: Dataset
    store: FeatureStore
    device: torch.device
    _choices: dict[str, EncoderChoice] = field(default_factory=dict)

    def chosen(self, reading: Reading) -> Chosen:
        """The encoder of a reading.

        Raises:
            UsageError: if there is none of that name for the modality.
        """
        return self._choice(reading.encoder)[self.target]

    def _choice(self, reference: str | None) -> EncoderChoice:
        if reference is None:
            return self.encoders
        if reference not in self._choices:
            choice = EncoderChoice(self.encoders.manager, self.dataset, self.device, {self.target: reference})
            self._choices[reference] = choice
        return self._choices[reference]

    def check(self, readings: Iterable[Reading]) -> None:
        """Raise a UsageError if there is no such encoder, or it does not know a view."""
        for reading in readings:
            encoder = self.chosen(reading).encoder
            if reading.view is not None:
                check_view(reading.view, self.target, known_views(encoder))

    def reader(self, reference: str) -> Reader:
        """What a strategy may know of an encoder that it has items read by."""
        choice = self._choice(reference)
        encoder, namer = choice[self.target].encoder, choice.namer((self.target,))
        texts = None
        if namer is not None and namer.encoder.space == encoder.space:
            modality, templates = namer.encoder.modality, self.dataset.templates
            names = enumerate(self.dataset.classes)
            samples = [Sample(t.format(name), modality, y) for y, name in names for t in templates]
            tower = Tower(namer.encoder.split(0)[1].to(self.device))
            pool = Pool(self.store, Towers({modality: tower}), self.device)
            pool.add(modality, namer.encoder, samples)
            texts = pool.stream(modality, samples)
        return Reader(encoder.dim, texts, encoder.prototypes())

    def fingerprints(self) -> dict[str, str]:
        """Of the encoders that are not the experiment's, by reference; for the run's index."""
        return {
            reference: choice[self.target].encoder.fingerprint() for reference, choice in sorted(self._choices.items())
        }


@dataclass(frozen=True)
class Rows:
    """Items as a model and its rule take them.

    Attributes:
        stream: of those that could be read; None if there are none.
        kept: their numbers among the items, ascending.
        failed: the errors of the others, by number.
    """

    stream: Stream | None
    kept: list[int]
    failed: Mapping[int, ItemError]


def read_rows(
    store: FeatureStore,
    encoder: Encoder,
    items: Sequence[Any],
    depth: int,
    readings: Mapping[str, Reading],
    *,
    by: Callable[[str], Encoder],
    tower: Callable[[], Tower],
) -> Rows:
    """Items and their readings, outside an experiment.

    Args:
        store: for trunk outputs.
        encoder: of the items.
        items: of one modality.
        depth: at which its trunk is read.
        readings: with their depths.
        by: an encoder by its reference.
        tower: the encoder's way home at depth 0.

    Raises:
        UsageError: if an encoder does not know a view.
    """
    found = {"": store.features(encoder, items, depth=depth)}
    also: dict[str, Inputs] = {}
    for name, reading in readings.items():
        reads = encoder if reading.encoder is None else by(reading.encoder)
        if reading.view is not None:
            check_view(reading.view, reads.modality, known_views(reads))
        found[name] = store.features(reads, seen_in(items, reading), depth=reading.depth or 0)
        if len(found[name].kept):
            also[name] = read_once_more(found[name].x, reading, reads, tower, torch.device("cpu"))
    failed = {i: error for features in reversed(found.values()) for i, error in features.failed.items()}
    kept = [i for i in range(len(items)) if i not in failed]
    if not kept:
        return Rows(None, kept, failed)

    def rows(name: str, x: Inputs) -> Inputs:
        place = {i: row for row, i in enumerate(found[name].kept.tolist())}
        index = torch.tensor([place[i] for i in kept])
        return {key: value[index] for key, value in x.items()}

    x = rows("", found[""].x)
    return Rows(Stream(encoder.modality, x, also={name: rows(name, read) for name, read in also.items()}), kept, failed)
