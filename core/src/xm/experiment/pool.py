"""All samples of an experiment, read once: embedded in the home space, or as deep as a strategy opens an encoder.

And read once more, where strategies or decision rules ask for it (`xm.learning.Reading`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from xm.data.task import Task
from xm.data.types import Sample, View
from xm.encoders.encoder import Encoder
from xm.encoders.store import FeatureStore
from xm.foundation.errors import DataError
from xm.learning.model import EMBEDDING, Towers
from xm.learning.stream import Inputs, Reading, Stream


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
        self._x: dict[tuple[str, Reading], Inputs] = {}
        self._rows: dict[tuple[str, Reading], dict[int, int]] = {}

    def add(self, modality: str, encoder: Encoder, samples: Iterable[Sample], depth: int = 0) -> None:
        """Read all samples of a modality. To be called once a modality and depth.

        Raises:
            DataError: if none of them can be read.
        """
        self.add_reading(modality, encoder, samples, Reading(depth=depth))

    def add_reading(self, modality: str, encoder: Encoder, samples: Iterable[Sample], reading: Reading) -> None:
        """Read all samples of a modality once more, by `encoder`. To be called once a modality and reading.

        Raises:
            DataError: if none of them can be read.
        """
        unique = list({id(sample): sample for sample in samples}.values())
        self.numbers.learn(unique)
        items = seen_in([sample.item for sample in unique], reading)
        features = self.store.features(encoder, items, depth=reading.depth or 0)
        if unique and not len(features.kept):
            raise DataError(
                f"none of the {len(unique)} {modality} items can be read: {next(iter(features.failed.values()))}"
            )
        if unique:
            x = read_once_more(features.x, reading, encoder, lambda: self.towers[modality], self.device)
            self._x[modality, reading] = x
        self._rows[modality, reading] = {id(unique[i]): row for row, i in enumerate(features.kept.tolist())}

    def __contains__(self, read: tuple[str, Reading]) -> bool:
        """Whether samples of a modality were added in a reading."""
        return read in self._rows

    def readable(
        self, modality: str, samples: Sequence[Sample], depth: int = 0, also: Iterable[Reading] = ()
    ) -> list[Sample]:
        """The samples without those that could not be read, here or in other readings."""
        rows = [self._rows[modality, reading] for reading in (Reading(depth=depth), *also)]
        return [sample for sample in samples if all(id(sample) in known for known in rows)]

    def stream(
        self,
        modality: str,
        samples: Sequence[Sample],
        depth: int = 0,
        readings: Mapping[str, Reading] | None = None,
    ) -> Stream | None:
        """The samples as a stream, without those that could not be read; None if nothing is left.

        Args:
            modality: of all of them.
            samples: that were added.
            depth: at which they were read.
            readings: how else, by name: for `also`.

        Raises:
            ValueError: if some of them have a label and others have none.
        """
        readable = self.readable(modality, samples, depth, (readings or {}).values())
        if not readable:
            return None
        x = self._read(modality, readable, Reading(depth=depth))
        device = next(iter(x.values())).device
        also = {name: self._read(modality, readable, reading) for name, reading in (readings or {}).items()}
        labels = [sample.label for sample in readable if sample.label is not None]
        if labels and len(labels) < len(readable):
            raise ValueError(f"{len(readable) - len(labels)} of {len(readable)} {modality} samples have no label")
        y = torch.tensor(labels, device=device) if labels else None
        return Stream(modality, x, y, also=also, **self.numbers.of(readable, device))

    def _read(self, modality: str, samples: Sequence[Sample], reading: Reading) -> Inputs:
        """The rows of samples in a reading."""
        x, rows = self._x[modality, reading], self._rows[modality, reading]
        index = torch.tensor([rows[id(sample)] for sample in samples], device=next(iter(x.values())).device)
        return {name: value[index] for name, value in x.items()}

    def labels(self, modality: str, samples: Sequence[Sample]) -> int:
        """How many of the samples could be read and cost a label: views of an item cost none."""
        stream = self.stream(modality, [sample for sample in samples if not isinstance(sample.item, View)])
        return 0 if stream is None or stream.y is None else len(stream)


def seen_in(items: Sequence[Any], reading: Reading) -> list[Any]:
    """The items in the view of a reading."""
    return [item if reading.view is None else View.of(item, reading.view) for item in items]


def read_once_more(
    x: Inputs, reading: Reading, encoder: Encoder, tower: Callable[[], nn.Module], device: torch.device
) -> Inputs:
    """A trunk's outputs as they stand in `xm.Stream.also`: at depth 0 the ``embedding`` on `device`, else themselves.

    Args:
        x: the outputs of n items.
        reading: that they are of.
        encoder: whose they are.
        tower: the way home, of a reading by the modality's own encoder.
        device: of embeddings.
    """
    if reading.depth:
        return x
    way = tower() if reading.encoder is None else encoder.split(0)[1].to(device)
    with torch.no_grad():
        return {EMBEDDING: way({name: value.to(device) for name, value in x.items()})}


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
