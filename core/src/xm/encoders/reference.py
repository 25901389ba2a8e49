"""Encoders from references: "NAME", "NAME:ARGUMENT", or the folder of a run of ``xm align``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from xm.data.paths import missing
from xm.encoders.aligned import Aligned, restored
from xm.encoders.encoder import Encoder
from xm.foundation.errors import RunError, UsageError, described, unknown
from xm.foundation.layout import ALIGNMENT, FORMAT, INDEX, map_file
from xm.foundation.reading import UNFIT, formed, inside, read_json, read_weights
from xm.learning.stream import Inputs
from xm.plugins.blame import out_of_memory
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import ANY


def is_run(reference: str) -> bool:
    """Whether a reference is the folder of a run."""
    return os.path.isfile(_folder(reference) / INDEX)  # noqa: PTH113 - words may be too long for a name


def _folder(reference: str) -> Path:
    return Path(os.path.expanduser(reference))  # noqa: PTH111 - that of nobody stays as it is


def located(reference: str) -> str:
    """The reference, which means the same wherever it is used again: a run's folder as an absolute path."""
    return str(_folder(reference).resolve()) if is_run(reference) else reference


def make_encoder(reference: str, manager: PluginManager, device: torch.device, modality: str | None = None) -> Encoder:
    """The encoder of a reference: "NAME", "NAME:ARGUMENT", or the folder of a run of ``xm align``.

    Where a plugin's encoders of several modalities share a name up to the modality ("openclip", "openclip-text"),
    either name serves for either.

    Raises:
        UsageError: if the name is unknown, or the encoder is of another modality.
        PluginError: if it does not load.
        RunError: if a run is not there, is none of ``xm align``, or is damaged.
    """
    if is_run(reference):
        saved = SavedAlignment(_folder(reference))
        return saved.encoder(modality or saved.index["anchor"], manager, device)
    name, _, argument = reference.partition(":")
    if name not in manager.encoders and _is_path(name):
        raise _no_run(reference)
    spec = manager.encoders.find(name)
    if modality is not None and spec.modality not in (modality, ANY):
        sibling = manager.encoders.get(f"{name}-{modality}")
        if sibling is None or sibling.modality != modality:
            fitting = sorted(s.name for s in manager.encoders.values() if s.modality == modality)
            raise UsageError(
                f"encoder {name!r} is for {spec.modality}, not {modality} (known: {', '.join(fitting) or 'none'})"
            )
        spec = sibling
    if argument and not spec.argument:
        raise UsageError(f"encoder {name!r} takes no argument; write {name!r} instead of {reference!r}")
    encoder: Encoder = spec.encoder(Encoder, argument, modality)
    if modality is not None and encoder.modality != modality:
        raise UsageError(f"encoder {reference!r} is for {encoder.modality}, not {modality}")
    return encoder.to(device)


class Way(BaseModel):
    """How a modality came into the space of a run, as its index says."""

    encoder: str
    fingerprint: str
    aligner: str
    depth: int = 0


class _Settings(BaseModel):
    aligner_set: dict[str, Any] | None = None


class _Index(BaseModel):
    """What is looked up in ``xm.json`` of an alignment; it holds more."""

    anchor: str
    space: str
    dim: int
    ways: dict[str, Way]
    settings: _Settings


def _is_path(name: str) -> bool:
    """Whether a name is one of a folder: it has a separator, or there is such a folder."""
    return any(separator in name for separator in ("/", os.sep)) or os.path.isdir(name)  # noqa: PTH112 - as above


def _no_run(reference: str) -> RunError:
    """The error where an encoder is the folder of a run, and there is no run."""
    folder = _folder(reference)
    if os.path.isdir(folder):  # noqa: PTH112 - as above
        return RunError(f"{folder}: is a folder without {INDEX}, no run of xm align, and so no encoder")
    try:
        gone = str(missing(folder, "run folder"))
    except OSError:  # too long for a name
        gone = f"{folder}: no such run folder"
    return RunError(
        f"{gone}; an encoder is a name (xm plugins list), alone or as in NAME:{reference}, or a run of xm align"
    )


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
        found = read_json(inside(folder, INDEX))
        self.index: dict[str, Any] = found if isinstance(found, dict) else {}
        if self.index.get("kind") != ALIGNMENT:
            raise RunError(f"{folder}: is a run of xm train, not an encoder; encoders are saved by xm align")
        if self.index.get("format") != FORMAT:
            raise RunError(f"{path}: format {self.index.get('format')!r}, but this xm reads {FORMAT}; align again")
        formed(path, _Index, self.index)
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
        path = inside(self.folder, map_file(modality))
        try:
            given = self.index["settings"].get("aligner_set") or None
            alignment = restored(way["aligner"], read_weights(path), base, plugins, given, way.get("depth", 0))
        except (KeyError, ValueError, RuntimeError) as error:
            raise RunError(f"{path}: does not hold a map of {way['aligner']!r} ({described(error)})") from error
        return _Saved(base, alignment.map, self.index["space"], self.index["dim"], way.get("depth", 0), path)


class _Saved(Aligned):
    """An encoder with a map that was read from a file."""

    def __init__(self, base: Encoder, map: nn.Module, space: str, dim: int, depth: int, path: Path) -> None:
        super().__init__(base, map, space, dim, depth)
        self.path = path

    def derive(self, x: Inputs) -> Inputs:
        try:
            mapped = super().derive(x)
        except UNFIT as error:
            if out_of_memory(error):
                raise
            raise RunError(f"{self.path}: damaged (its map does not fit the encoder: {described(error)})") from error
        shape = tuple(mapped["features"].shape)
        if len(shape) != 2 or shape[1] != self.dim:
            raise RunError(f"{self.path}: damaged (its map gives {shape[-1]} dimensions, its {INDEX} says {self.dim})")
        return mapped


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
