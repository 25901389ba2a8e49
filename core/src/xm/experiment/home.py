"""The home space of an experiment: the target's own, and every modality's way into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from xm.alignment.maker import WaysHome
from xm.alignment.pairing import labelled_in_pairs
from xm.data.task import Task
from xm.data.types import Dataset, Sample
from xm.encoders.aligned import Alignment, opened
from xm.encoders.choice import Chosen, EncoderChoice
from xm.encoders.encoder import Encoder
from xm.encoders.store import FeatureStore
from xm.experiment.pool import Pool, seen_in
from xm.experiment.readings import Readers
from xm.foundation.errors import DataError, UsageError, no_names, no_semantics
from xm.learning.context import Known
from xm.learning.model import EMBEDDING, Tower, Towers
from xm.learning.stream import Prototypes, Reading, Stream


@dataclass
class Home:
    """Towers into the target's space, and all samples embedded there.

    Attributes:
        target: the modality whose encoder's space is home.
        aux: the auxiliary modalities.
        dataset: for class names and templates.
        pairable: what alignments may learn from.
        encoders: of every modality.
        align: makes the ways.
        store: for trunk outputs.
        device: where towers and streams are.
        note: hears, in words, what is done.
    """

    target: str
    aux: Sequence[str]
    dataset: Dataset
    pairable: Dataset
    encoders: EncoderChoice
    align: WaysHome
    store: FeatureStore
    device: torch.device
    note: Callable[[str], None]

    def __post_init__(self) -> None:
        self.alignments: dict[str, Alignment] = {}
        self.towers = Towers()
        self.pool = Pool(self.store, self.towers, self.device)
        self._known: dict[str, Known] = {}
        self.readers = Readers(self.target, self.encoders, self.dataset, self.store, self.device)

    @property
    def encoder(self) -> Encoder:
        """The target's."""
        return self.encoders[self.target].encoder

    @cached_property
    def namer(self) -> Chosen | None:
        """The encoder that reads class names: an auxiliary modality's, else any; None if there is none."""
        return self.encoders.namer(tuple(self.aux))

    @property
    def reads_names(self) -> str | None:
        """The modality whose encoder reads class names."""
        return None if self.namer is None else self.namer.encoder.modality

    def move_in(
        self,
        tasks: Iterable[Task],
        opened: Iterable[Mapping[str, int]] = (),
        readings: Iterable[Reading] = (),
        viewed: Iterable[Sample] = (),
    ) -> None:
        """Make the towers, and read every sample of the tasks and of the pairs an alignment learned from.

        Args:
            tasks: whose samples are needed.
            opened: by modality, how deep strategies open its encoder; samples are read at each of these depths.
            readings: of the target's samples besides, each with its depth.
            viewed: samples of the target in no task: views of test.
        """
        for modality in (self.target, *self.aux):
            self._add_tower(modality)
        if self.namer is not None and self.namer.language and self.namer.encoder.modality not in self.towers:
            self.note(f"names: encoder {self.namer.reference} ({self.namer.why})")
        samples: dict[str, list[Sample]] = {modality: [] for modality in self.towers}
        for task in tasks:
            for split in task.samples.values():
                for modality, drawn in split.items():
                    samples[modality] += drawn
            for modality, unlabelled in task.unlabelled.items():
                samples[modality] += unlabelled
        samples[self.target] += [*self.paired, *viewed]
        for modality, found in samples.items():
            for depth in sorted({0, *(depths.get(modality, 0) for depths in opened)}):
                encoder = self.encoders[modality].encoder
                self.store.share_out(encoder, [sample.item for sample in found], depth=depth)
                self.pool.add(modality, encoder, found, depth)
        for modality in dict.fromkeys(m for depths in opened for m, depth in depths.items() if depth):
            if modality not in self.alignments:
                self.alignments[modality] = self.align(self.encoders[modality].encoder, self.encoder)
        own = samples[self.target]
        for reading in dict.fromkeys(readings):
            if (self.target, reading) not in self.pool:
                encoder = self.readers.chosen(reading).encoder
                items = seen_in([sample.item for sample in own], reading)
                self.store.share_out(encoder, items, depth=reading.depth or 0)
                self.pool.add_reading(self.target, encoder, own, reading)
        self.note(f"home space: {self.encoder.space} ({self.encoder.dim} dimensions)")

    def _add_tower(self, modality: str) -> None:
        chosen = self.encoders[modality]
        alignment = self.align(chosen.encoder, self.encoder)
        self.alignments[modality] = alignment
        self.towers[modality] = Tower(alignment.map.to(self.device))
        way = "is home" if modality == self.target else "shares the home space"
        if alignment.aligner:
            way = f"enters the home space by {alignment.aligner}"
            way += f", from {alignment.pairs} pairs" if alignment.pairs else ", without pairs"
        self.note(f"{modality}: encoder {chosen.reference} ({chosen.why}); it {way}")

    def towers_at(self, depths: Mapping[str, int], centres: Mapping[str, Tensor] | None = None) -> Towers:
        """Towers of all modalities; of those that are opened, new ones, to be trained.

        Args:
            depths: at which encoders are opened, by modality.
            centres: (dim,) each, by modality: what embeddings are freed of.
        """
        centres = centres or {}
        towers = Towers({m: Tower(t.map, centres.get(m)) for m, t in self.towers.items() if isinstance(t, Tower)})
        for modality, depth in depths.items():
            if depth:
                encoder = self.encoders[modality].encoder
                way = opened(self.alignments[modality], encoder, depth).to(self.device)
                towers[modality] = Tower(way, centres.get(modality))
        return towers

    def centres(self, task: Task) -> dict[str, Tensor]:
        """The mean embedding of each modality's unlabelled items; of one that has none, of its items in train.

        Where the encoder that reads names is of another modality than these, the mean of the class names.

        Raises:
            DataError: if no unlabelled item of the target can be read.
        """
        found: dict[str, Tensor] = {}
        for modality in (self.target, *self.aux):
            samples = task.unlabelled.get(modality) or task.samples["train"].get(modality, ())
            stream = self.pool.stream(modality, samples)
            if stream is not None:
                found[modality] = stream.x[EMBEDDING].mean(dim=0)
            elif modality == self.target:
                raise DataError(
                    f"none of the {len(samples)} unlabelled {modality} items of shots {task.shots}, seed {task.seed} "
                    "can be read, so there is nothing to centre by; mend them, or take --centre away"
                )
        if (self.namer is None or self._naming is not None) and self.texts is not None:
            found.setdefault(self.texts.modality, self.texts.x[EMBEDDING].mean(dim=0))
        return found

    @cached_property
    def prototypes(self) -> dict[str, Prototypes]:
        """The classifiers of the encoders, their rows at home; see `xm.Context.prototypes`."""
        found = {}
        for modality in (self.target, *self.aux):
            encoder = self.encoders[modality].encoder
            own = self.align.maker.prototypes(encoder)
            if own is None:
                continue
            tower = Tower(self.align(encoder, self.encoder).map).to(self.device)
            try:
                found[modality] = replace(own, weight=tower({"features": own.weight.to(self.device)}).detach())
            except KeyError:  # the way home reads more than a vector
                continue
        return found

    @property
    def paired(self) -> list[Sample]:
        """Labelled target samples of the pairs that an alignment learned from."""
        used = any(alignment.pairs for alignment in self.alignments.values())
        return labelled_in_pairs(self.pairable, self.target) if used else []

    @cached_property
    def texts(self) -> Stream | None:
        """The class names, as the data bring them or through the templates and with their descriptions, embedded.

        None if no encoder reads them.
        """
        samples: Sequence[Sample] = self.dataset.names
        if not samples:
            if self.namer is None:
                return None
            modality, labels = self.namer.encoder.modality, range(len(self.dataset.classes))
            samples = [Sample(text, modality, y) for y in labels for text in self.dataset.sentences(y)]
        return self._embedded(samples)

    def _embedded(self, samples: Sequence[Sample]) -> Stream | None:
        """Samples of one modality at home, which need not be in the pool; None if none can be read."""
        modality = samples[0].modality
        encoder = self.encoders[modality].encoder
        towers = Towers({modality: Tower(self.align(encoder, self.encoder).map.to(self.device))})
        pool = Pool(self.store, towers, self.device, self.pool.numbers)
        pool.add(modality, encoder, samples)
        return pool.stream(modality, samples)

    def semantics(self, name: str) -> Known:
        """What is known of the classes by a name, see `xm.Context.semantics`.

        Raises:
            UsageError: if there is nothing of that name, or, of texts, no encoder that reads names.
            DataError: for texts that are of no class, or can't be read.
        """
        if name not in self._known:
            self._known[name] = self._semantics(name)
        return self._known[name]

    def _semantics(self, name: str) -> Known:
        found = self.dataset.semantics.get(name)
        if found is None:
            raise no_semantics(name, self.dataset.semantics)
        if found.matrix is not None:
            return torch.as_tensor(found.matrix, dtype=torch.float32, device=self.device)
        if found.triples is not None:
            return tuple(found.triples)
        if self.namer is None:
            raise no_names()
        texts, modality = found.texts or {}, self.namer.encoder.modality
        said = [Sample(t, modality, y) for y, one in enumerate(self.dataset.classes) for t in texts.get(one, ())]
        stream = self._embedded(said) if said else None
        if stream is None:
            raise DataError(f"the semantics {name!r} of {self.dataset.name} hold no text of a class")
        return stream

    def read(self, texts: Sequence[str], depth: int = 0) -> Stream:
        """Texts through the trunk of the encoder that reads names.

        Raises:
            UsageError: if there is none.
            ItemError: for a text that it can't read.
        """
        if self.namer is None:
            raise no_names()
        features = self.store.features(self.namer.encoder, texts, depth=depth)
        if features.failed:
            raise next(iter(features.failed.values()))
        return Stream(self.namer.encoder.modality, features.x)

    def ways(self) -> dict[str, dict[str, Any]]:
        """How each modality came home, in plain values, for the run's index."""
        return {modality: self._way(modality, alignment) for modality, alignment in self.alignments.items()}

    def _way(self, modality: str, alignment: Alignment) -> dict[str, Any]:
        chosen = self.encoders[modality]
        return {
            "encoder": chosen.reference,
            "fingerprint": chosen.encoder.fingerprint(),
            "space": chosen.encoder.space,
            "aligner": alignment.aligner,
            "pairs": alignment.pairs,
        }

    def maps(self, *, names: bool = False) -> dict[str, dict[str, Tensor]]:
        """The tensors of each modality's map; none where the spaces are one.

        Args:
            names: with that of the encoder that reads class names, which need not be of these modalities.
        """
        found = {**self.alignments}
        if names and self.namer is not None and self._naming is not None:
            found.setdefault(self.namer.encoder.modality, self._naming)
        return {modality: alignment.tensors() for modality, alignment in found.items() if alignment.aligner}

    def names(self) -> dict[str, Any] | None:
        """How class names are read, in plain values, so that others can be; None if none are."""
        if self.namer is None or self._naming is None:
            return None
        modality, dim = self.namer.encoder.modality, self.encoder.dim
        way = self._way(modality, self._naming)
        return {"modality": modality, "templates": list(self.dataset.templates), "dim": dim, **way}

    @cached_property
    def _naming(self) -> Alignment | None:
        """The way home of class names; None if there is none."""
        if self.namer is None:
            return None
        try:
            made = self.alignments.get(self.namer.encoder.modality)
            return made or self.align(self.namer.encoder, self.encoder)
        except UsageError:  # no aligner applies, and nothing asked for one
            return None
