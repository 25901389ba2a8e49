"""Starts: fitted models of earlier runs, that a training goes on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from xm.learning.model import Behind, Tower, Towers


@dataclass
class Start:
    """A run that a training starts from (``--start RUN``): the one of its models that `xm.Run.pick` names.

    Attributes:
        name: the run's folder, as it was given.
        classes: that the model knows, in words.
        make: makes `model`.
        strategy: that fitted it, by name.
        depths: at which encoders were opened for it, by modality; the others were at 0.
        record: what its strategy kept of the fit; plain values.
        labels: labelled items that it cost, with those of its own starts.
        used: whether anything was taken from it; then its labels count among those of the new model.
    """

    name: str
    classes: tuple[str, ...]
    make: Callable[[], nn.Module]
    strategy: str = ""
    depths: Mapping[str, int] = field(default_factory=dict)
    record: Mapping[str, object] = field(default_factory=dict)
    labels: int = 0
    used: bool = False

    def model(self) -> nn.Module:
        """The fitted model, new at each call, where models compute: called with a `Stream`, it returns logits.

        It reads the streams of a context whose encoders are the same, and opened at the same `depths`.
        """
        self.used = True
        return self.make()


def tail_tensors(towers: Towers, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """What `xm.learning.own_tensors` kept of towers: by modality, named as in the state of the tower's tail."""
    found = {}
    for modality, tower in towers.items():
        prefix = f"towers.{modality}.map." + ("tail." if isinstance(tower.map, Behind) else "")
        found[modality] = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    return {modality: own for modality, own in found.items() if own}


def begin(tower: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The new tower, with what another training changed of its tail (`Strategy.tuned`) put into it.

    Raises:
        ValueError: if the tail has no place for a tensor.
    """
    if tensors:
        tail = tower.tail if isinstance(tower, Tower) else tower
        unknown = tail.load_state_dict(tensors, strict=False).unexpected_keys
        if unknown:
            raise ValueError(f"the tower has no {unknown[0]}")
    return tower
