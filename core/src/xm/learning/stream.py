"""Streams and batches: what strategies learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor

Inputs: TypeAlias = Mapping[str, Tensor]
"""n items as named tensors, each with n rows: what an encoder's trunk gives, and a model takes."""


@dataclass(frozen=True)
class Prototypes:
    """The classifier that an encoder was trained with: named directions of its own space.

    Attributes:
        names: the classes, in words ("tench", "Dog bark").
        weight: (len(names), dim), a row each; any length.
        texts: what else is said of each class, any number of texts a name; None: nothing of any.
    """

    names: tuple[str, ...]
    weight: Tensor
    texts: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True)
class Reading:
    """The same rows, read once more.

    Attributes:
        encoder: another one of the modality, by its reference ("openclip"); None: its own.
        view: as a user types it, "noise:0.2"; None: the item as it is.
        depth: at which the trunk is read; None: the one at which the strategy opened the encoder, and 0 of another.
    """

    encoder: str | None = None
    view: str | None = None
    depth: int | None = None


@dataclass(frozen=True)
class Reader:
    """What is known of another encoder that items are read by.

    Attributes:
        dim: of its unit vectors.
        texts: the class names through the templates in its space; None if no encoder reads names there.
        prototypes: its own classifier, if it has one.
    """

    dim: int
    texts: Stream | None = None
    prototypes: Prototypes | None = None


@dataclass(frozen=True)
class Stream:
    """n samples of one modality, as tensors.

    Attributes:
        modality: of all samples.
        x: named tensors with n rows each: a trunk's outputs, or ``embedding`` (n, dim) in the home space.
        y: (n,) class indices, or None where unlabelled.
        weight: (n,) of each sample in the loss, or None for ones.
        pair: (n,) whole numbers: samples of equal `pair` belong together, in this stream and across those of a task; -1
            where a sample belongs to none, None if no sample belongs to any.
        group: the same of what must not be split: a speaker, a recording.
        origin: the same of where samples come from: a site, a set of captions.
        also: the same rows read once more, by the names of `Strategy.readings` and `Predictor.readings`, n rows each:
            ``embedding`` at home; of another encoder ``embedding`` in its space; at another depth its trunk's outputs.
    """

    modality: str
    x: Inputs
    y: Tensor | None = None
    weight: Tensor | None = None
    pair: Tensor | None = None
    group: Tensor | None = None
    origin: Tensor | None = None
    also: Mapping[str, Inputs] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.x.values())))

    @property
    def labels(self) -> Tensor:
        """Its `y`.

        Raises:
            ValueError: if it has none.
        """
        if self.y is None:
            raise ValueError(f"the {self.modality} stream has no labels")
        return self.y

    @property
    def counts(self) -> Tensor:
        """What each labelled sample counts, (n,): its weight, or 1."""
        return self.labels.new_ones(len(self), dtype=torch.float32) if self.weight is None else self.weight

    @property
    def parts(self) -> Tensor:
        """Each sample's part of the stream's weight: (n,), summing to 1."""
        return self.counts / self.counts.sum()

    def reading(self, name: str) -> Self:
        """The same samples as they were read once more.

        Raises:
            ValueError: if they were not.
        """
        if name not in self.also:
            raise ValueError(f"the {self.modality} stream has no reading {name!r} (it has: {', '.join(self.also)})")
        return replace(self, x=self.also[name], also={})

    def times(self, factor: float) -> Self:
        """The same samples, each of `factor` times the weight."""
        one = torch.ones(len(self), device=next(iter(self.x.values())).device)
        return replace(self, weight=factor * (one if self.weight is None else self.weight))

    def __getitem__(self, rows: Tensor) -> Self:
        """The samples at `rows` (indices)."""
        return self._each(lambda value: value[rows.to(value.device)])

    def to(self, device: torch.device | str) -> Self:
        """On `device`, without waiting for the copy."""

        def move(value: Tensor) -> Tensor:
            return value.to(device, non_blocking=True)

        return self._each(move)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """With all its tensors changed."""

        def each(x: Inputs) -> Inputs:
            return {name: change(value) for name, value in x.items()}

        whole = {one.name: getattr(self, one.name) for one in fields(self)}
        changed: dict[str, Any] = {name: change(value) for name, value in whole.items() if isinstance(value, Tensor)}
        return replace(self, x=each(self.x), also={name: each(x) for name, x in self.also.items()}, **changed)


def joined(streams: Sequence[Stream]) -> Stream:
    """The samples of several streams as one, of the first one's modality and tensors; all are labelled, or none is.

    Where a stream says nothing of its samples, their weight is 1 and they belong to none (-1).
    """
    first, device = streams[0], next(iter(streams[0].x.values())).device

    def told(name: str, otherwise: float, dtype: torch.dtype) -> Tensor | None:
        own = [(stream, getattr(stream, name)) for stream in streams]
        if all(value is None for _, value in own):
            return None
        filled = (torch.full((len(s),), otherwise, dtype=dtype) if value is None else value for s, value in own)
        return torch.cat([value.to(device) for value in filled])

    return Stream(
        first.modality,
        {name: torch.cat([stream.x[name] for stream in streams]) for name in first.x},
        None if first.y is None else torch.cat([stream.labels for stream in streams]),
        told("weight", 1, torch.float32),
        told("pair", -1, torch.long),
        told("group", -1, torch.long),
        told("origin", -1, torch.long),
        {
            name: {key: torch.cat([stream.also[name][key] for stream in streams]) for key in x}
            for name, x in first.also.items()
        },
    )


Batch: TypeAlias = Mapping[str, Stream]
"""Named streams, one a source: the target modality and the auxiliary ones."""
