"""Encoders that ``xm align`` saved: a run folder of that kind is an encoder, wherever one is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xm.alignment.maker import restored
from xm.encoders.choice import make_encoder
from xm.encoders.encoder import Derived, Encoder, Inputs, Tail, Trunk, fingerprint_of
from xm.foundation.errors import RunError, UsageError, described, unknown
from xm.foundation.files import read_tensors
from xm.foundation.layout import ALIGNMENT, FORMAT, INDEX, map_file
from xm.learning.model import Behind
from xm.plugins.plugin_manager import PluginManager


class Aligned(Derived):
    """An encoder, and behind it an alignment's map into another space.

    Args:
        base: the encoder.
        map: from its trunk outputs to vectors (n, dim) of the space.
        space: its name.
        dim: of the space.
        depth: of the trunk outputs that the map takes.
    """

    def __init__(self, base: Encoder, map: nn.Module, space: str, dim: int, depth: int = 0) -> None:
        super().__init__(base, depth)
        self.map = map.to(base.device)
        self.space = space
        self.dim = dim

    def fingerprint(self) -> str:
        parts = [part for name, value in sorted(self.map.state_dict().items()) for part in (name, _bytes(value))]
        return fingerprint_of("aligned", self.space, self.base.fingerprint(), self.depth, *parts)

    def derive(self, x: Inputs) -> Inputs:
        return {"features": self.map(x)}

    def split(self, depth: int) -> tuple[Trunk, nn.Module]:
        if depth == 0:
            return self.trunk, Tail()
        if self.base.prototypes() is not None:
            raise UsageError(f"the {self.modality} encoder can't be opened: its alignment may read its class scores")
        trunk, tail = self.base.split(depth)
        if not self.depth:
            return trunk, Behind(tail, self.map)
        if depth != self.depth:
            raise UsageError(
                f"the {self.modality} encoder was opened at depth {self.depth} by its alignment; open it at that "
                f"depth, not at {depth}"
            )
        return trunk, deepcopy(self.map).requires_grad_(True)

    def to(self, device: torch.device | str) -> Aligned:
        self.map.to(device)
        return super().to(device)


def _bytes(value: torch.Tensor) -> bytes:
    data: bytes = value.detach().cpu().contiguous().numpy().tobytes()
    return data


class SavedAlignment:
    """A run folder that ``xm align`` wrote.

    Args:
        folder: the run.

    Raises:
        RunError: if it is none, is damaged, or was written by another format of xm.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / INDEX
        try:
            self.index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            kind, format_ = self.index.get("kind"), self.index["format"]
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise RunError(f"{path}: damaged ({described(error)})") from None
        if kind != ALIGNMENT:
            raise RunError(f"{folder}: is a run of xm train, not an encoder; encoders are saved by xm align")
        if format_ != FORMAT:
            raise RunError(f"{path}: format {format_!r}, but this xm reads {FORMAT}; align again")
        self.ways: Mapping[str, Mapping[str, Any]] = self.index["ways"]

    def encoder(self, modality: str, plugins: PluginManager, device: torch.device) -> Encoder:
        """The encoder of a modality, into the space of the alignment.

        Raises:
            UsageError: if the alignment has none of the modality.
            RunError: if a map is damaged, or the encoder below is not the one of alignment.
        """
        if modality not in self.ways:
            raise unknown(f"modality of {self.folder}", modality, self.ways)
        way = self.ways[modality]
        base = encoder_again(way, modality, plugins, device, self.folder)
        if not way["aligner"]:
            return base
        path = self.folder / map_file(modality)
        try:
            given = self.index["settings"].get("aligner_set") or None
            alignment = restored(way["aligner"], read_tensors(path), base, plugins, given, way["depth"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise RunError(f"{path}: does not hold a map of {way['aligner']!r} ({described(error)})") from error
        return Aligned(base, alignment.map, self.index["space"], self.index["dim"], way["depth"])


def encoder_again(
    way: Mapping[str, Any], modality: str, plugins: PluginManager, device: torch.device, folder: Path
) -> Encoder:
    """The encoder of a way that a run recorded.

    Raises:
        RunError: if weights or preprocessing differ from what they were, or the alignment that it was is gone.
    """
    reference = Path(way["encoder"])
    if reference.is_absolute() and not reference.exists():
        raise RunError(f"{folder}: the alignment that it was trained with, {reference}, is not there; put it back")
    encoder = make_encoder(way["encoder"], plugins, device, modality)
    if encoder.fingerprint() != way["fingerprint"]:
        raise RunError(
            f"{folder}: encoder {way['encoder']!r} is not the one of training: its weights, preprocessing or "
            f"length policy differ; install the versions named in {INDEX}"
        )
    return encoder
