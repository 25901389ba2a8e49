"""Models: towers into the home space, and a linear classifier there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm.learning.stream import Inputs, Stream

EMBEDDING = "embedding"

FEW = 64
"""Samples that go through an opened tower at a time."""


class Behind(nn.Module):
    """An alignment behind an encoder's tail, whose vectors do for features: alignments scale to unit length first."""

    def __init__(self, tail: nn.Module, map: nn.Module) -> None:
        super().__init__()
        self.tail = tail
        self.map = map

    def forward(self, x: Inputs) -> Tensor:
        mapped: Tensor = self.map({"features": self.tail(x)})
        return mapped


class Tower(nn.Module):
    """From a trunk's outputs to unit vectors (n, dim) of the home space.

    Inputs that hold ``embedding`` already went through; they pass.

    Args:
        map: into home.
        centre: (dim,), taken from what the map gives, before the length is made one again; None: nothing.
    """

    centre: Tensor | None

    def __init__(self, map: nn.Module, centre: Tensor | None = None) -> None:
        super().__init__()
        self.map = map
        self.register_buffer("centre", centre)

    @property
    def tail(self) -> nn.Module:
        """The encoder's part of the map: all of it, unless an alignment follows."""
        return self.map.tail if isinstance(self.map, Behind) else self.map

    def trained(self) -> set[str]:
        """Names, in its state, of what training changes: parameters with a gradient, and then the tail's buffers."""
        parameters = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        prefix = "map.tail" if isinstance(self.map, Behind) else "map"
        return parameters | {name for name, _ in self.tail.named_buffers(prefix)} if parameters else parameters

    def forward(self, x: Inputs) -> Tensor:
        if EMBEDDING in x:
            return x[EMBEDDING]
        return centred(normalize(self.map(x), dim=-1), self.centre)


def centred(x: Tensor, centre: Tensor | None) -> Tensor:
    """Unit vectors (n, dim) without their common part (dim,), scaled to unit length again."""
    return x if centre is None else normalize(x - centre, dim=-1)


class Towers(nn.ModuleDict):
    """Towers by modality. `embed` takes streams home."""

    def centres(self) -> dict[str, Tensor]:
        """What the towers free embeddings of, by modality."""
        return {name: t.centre for name, t in self.items() if isinstance(t, Tower) and t.centre is not None}

    def embed(self, stream: Stream) -> Stream:
        """The stream with its ``embedding`` in the home space instead of the trunk's outputs."""
        with torch.no_grad():
            embedding = self[stream.modality](stream.x)
        return replace(stream, x={EMBEDDING: embedding})

    def embedded(self, stream: Stream) -> Stream:
        """The stream as it is if it was embedded, else `embed` of it, a few samples at a time."""
        if EMBEDDING in stream.x:
            return stream
        rows = torch.arange(len(stream), device=next(iter(stream.x.values())).device).chunk(-(-len(stream) // FEW))
        return replace(stream, x={EMBEDDING: torch.cat([self.embed(stream[some]).x[EMBEDDING] for some in rows])})


class LinearClassifier(nn.Module):
    """Towers and a linear head without bias: ``scale * (tower(x) @ weight.T)``.

    Attributes:
        towers: by modality.
        weight: (classes, dim).
        scale: of the logits, the inverse temperature; 100 is CLIP's.
        chosen: the hyperparameters of this candidate, plain values, for the record if it is picked.
        kept: names of buffers that logits don't need, and a run keeps: what `Strategy.reclass` wants to know.
    """

    scale: Tensor

    def __init__(
        self, towers: Towers, weight: Tensor, scale: float | Tensor = 100.0, *, trainable: bool = True
    ) -> None:
        super().__init__()
        self.chosen: dict[str, object] = {}
        self.kept: list[str] = []
        self.towers = towers
        self.weight = nn.Parameter(weight.detach().clone(), requires_grad=trainable)
        self.register_buffer("scale", torch.as_tensor(scale, dtype=weight.dtype, device=weight.device))

    def forward(self, stream: Stream) -> Tensor:
        """Logits (n, classes)."""
        embedding: Tensor = self.towers[stream.modality](stream.x)
        return self.scale * embedding @ self.weight.T

    def keeping(self, **tensors: Tensor) -> Self:
        """Itself, with tensors that a run keeps beside its own; `Strategy.restore` puts them back."""
        for name, value in tensors.items():
            self.register_buffer(name, value.detach().clone())
            self.kept.append(name)
        return self

    def extended(self, rows: Tensor) -> LinearClassifier:
        """The classifier with rows (new, dim) of new classes behind its own, and nothing to be trained."""
        weight = torch.cat([self.weight, rows.to(self.weight)])
        found = LinearClassifier(self.towers, weight, self.scale, trainable=False)
        return found.keeping(**{name: self.get_buffer(name) for name in self.kept})


def class_means(stream: Stream, classes: int) -> Tensor:
    """The mean embedding of each class, scaled to unit length: (classes, dim). Zeros where a class has none."""
    x, y = stream.x[EMBEDDING], stream.y
    if y is None:
        raise ValueError("class means need labels")
    sums = torch.zeros(classes, x.shape[1], dtype=x.dtype, device=x.device).index_add_(0, y, x)
    return normalize(sums, dim=1)


def own_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What a run must keep of a model: its state but for what is frozen in towers, as encoders and maps hold that."""
    towers = getattr(model, "towers", None)
    frozen: set[str] = set()
    for modality, tower in towers.items() if isinstance(towers, Towers) else ():
        kept = tower.trained() if isinstance(tower, Tower) else set()
        frozen |= {f"towers.{modality}.{name}" for name in tower.state_dict() if name not in kept}
    return {name: value for name, value in model.state_dict().items() if name not in frozen}


def load_towers(towers: Towers, tensors: Mapping[str, Tensor]) -> None:
    """Put what was trained of the towers into those at hand; the inverse of `own_tensors` for them.

    Raises:
        ValueError: if a tower has no place for a tensor.
    """
    for modality, tower in towers.items():
        prefix = f"towers.{modality}."
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        unknown = tower.load_state_dict(own, strict=False).unexpected_keys
        if unknown:
            raise ValueError(f"the {modality} tower has no {unknown[0]}")
