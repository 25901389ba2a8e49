"""All samples of an experiment, read once: embedded in the home space, or as deep as a strategy opens an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from xm.data.task import Task
from xm.data.types import Sample, View
from xm.encoders.encoder import Encoder
from xm.encoders.store import FeatureStore
from xm.foundation.errors import DataError
from xm.learning.model import Towers
from xm.learning.stream import Inputs, Stream


class Numbers:
    """Whole numbers for what samples say in words: those of a field with equal words have equal numbers."""

    FIELDS: ClassVar[Mapping[str, str]] = {"pair": "pair", "group": "group", "source": "origin"}
    """Of a sample, and what the field is called in a stream."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, int]] = {name: {} for name in self.FIELDS}

    def learn(self, samples: Iterable[Sample]) -> None:
        """Number what is new, in the order of the samples."""
        for sample in samples:
            for name, known in self._known.items():
                if (word := getattr(sample, name)) is not None:
                    known.setdefault(word, len(known))

    def of(self, samples: Sequence[Sample], device: torch.device) -> dict[str, Tensor]:
        """The fields of a stream: (n,), -1 where a sample says nothing; none of a field where no sample does."""
        found = {}
        for name, known in self._known.items():
            words = [getattr(sample, name) for sample in samples]
            if any(word is not None for word in words):
                numbers = [-1 if word is None else known[word] for word in words]
                found[self.FIELDS[name]] = torch.tensor(numbers, device=device)
        return found


class Pool:
    """Samples by modality and depth. A sample is known by its identity, so keep it while the pool is in use.

    At depth 0 they are embeddings on the device, else the trunk's outputs, which are large, on the CPU.

    Args:
        store: for trunk outputs.
        towers: into the home space, by modality.
        device: of embeddings.
        numbers: of pairs, groups and sources; those of another pool, for streams that shall agree with its own.
    """

    def __init__(
        self, store: FeatureStore, towers: Towers, device: torch.device, numbers: Numbers | None = None
    ) -> None:
        self.store = store
        self.towers = towers
        self.device = device
        self.numbers = Numbers() if numbers is None else numbers
        self._x: dict[tuple[str, int], Inputs] = {}
        self._rows: dict[tuple[str, int], dict[int, int]] = {}

    def add(self, modality: str, encoder: Encoder, samples: Iterable[Sample], depth: int = 0) -> None:
        """Read all samples of a modality. To be called once a modality and depth.

        Raises:
            DataError: if none of them can be read.
        """
        unique = list({id(sample): sample for sample in samples}.values())
        self.numbers.learn(unique)
        items = [sample.item for sample in unique]
        features = self.store.features(encoder, items, depth=depth)
        if unique and not len(features.kept):
            raise DataError(
                f"none of the {len(unique)} {modality} items can be read: {next(iter(features.failed.values()))}"
            )
        if unique and depth == 0:
            stream = Stream(modality, features.x).to(self.device)
            self._x[modality, depth] = self.towers.embed(stream).x
        elif unique:
            self._x[modality, depth] = features.x
        self._rows[modality, depth] = {id(unique[i]): row for row, i in enumerate(features.kept.tolist())}

    def readable(self, modality: str, samples: Sequence[Sample], depth: int = 0) -> list[Sample]:
        """The samples without those that could not be read."""
        rows = self._rows[modality, depth]
        return [sample for sample in samples if id(sample) in rows]

    def stream(self, modality: str, samples: Sequence[Sample], depth: int = 0) -> Stream | None:
        """The samples as a stream, without those that could not be read; None if nothing is left.

        Raises:
            ValueError: if some of them have a label and others have none.
        """
        rows = self._rows[modality, depth]
        readable = self.readable(modality, samples, depth)
        if not readable:
            return None
        x = self._x[modality, depth]
        device = next(iter(x.values())).device
        index = torch.tensor([rows[id(sample)] for sample in readable], device=device)
        labels = [sample.label for sample in readable if sample.label is not None]
        if labels and len(labels) < len(readable):
            raise ValueError(f"{len(readable) - len(labels)} of {len(readable)} {modality} samples have no label")
        y = torch.tensor(labels, device=device) if labels else None
        rest = self.numbers.of(readable, device)
        return Stream(modality, {name: value[index] for name, value in x.items()}, y, **rest)

    def labels(self, modality: str, samples: Sequence[Sample]) -> int:
        """How many of the samples could be read and cost a label: views of an item cost none."""
        stream = self.stream(modality, [sample for sample in samples if not isinstance(sample.item, View)])
        return 0 if stream is None or stream.y is None else len(stream)


def check_readable(task: Task, streams: Mapping[str, Stream | None]) -> None:
    """Every class that had items of a modality in train still has one.

    Raises:
        DataError: that names the first class that has none.
    """
    for modality, stream in streams.items():
        drawn = {sample.label for sample in task.samples["train"][modality]}
        left = set() if stream is None or stream.y is None else set(stream.y.tolist())
        for label in sorted(label for label in drawn - left if label is not None):
            raise DataError(
                f"no {modality} item of class {task.classes[label]!r} in train can be read "
                f"(shots {task.shots}, seed {task.seed}); mend or replace the items named in the warnings"
            )
