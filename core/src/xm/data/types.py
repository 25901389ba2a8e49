"""Samples and datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

SPLITS = ("train", "val", "test")
"""The splits that labels are learned from, chosen on, and scored on."""


@dataclass(frozen=True)
class View:
    """An item, seen in another way: its mirror image, or a part of it.

    Attributes:
        item: a path or an array, as encoders of its modality read it.
        name: of a kind that the encoder knows (`xm.Encoder.views`), and a number where there are several: "crop2".
    """

    item: Any
    name: str

    @property
    def kind(self) -> str:
        """The name without its number."""
        return self.name.rstrip("0123456789")


@dataclass(frozen=True)
class Sample:
    """One item.

    Attributes:
        item: a path, a text, or an array: whatever encoders of the modality read.
        modality: "image", "text", "audio", or any other word.
        label: index into the dataset's classes; None if unlabelled.
        split: "train", "val", "test", another word for what is none of these ("pool"), or None where it is
            still to be drawn.
        group: what must not be split (a fold, a speaker, a recording).
        pair: samples with equal `pair` belong together, as a rule of different modalities.
        tags: in words; samples of different modalities with a tag in common may be taken for weak pairs.
        source: where it comes from: a site, a set of captions.
    """

    item: Any
    modality: str
    label: int | None = None
    split: str | None = None
    group: str | None = None
    pair: str | None = None
    tags: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True)
class Dataset:
    """All the samples there are. A task is drawn from it by shots and seed.

    Attributes:
        name: for tables and run folders.
        classes: in words; a label is an index into it.
        samples: of every split and modality.
        templates: of sentences around a class name, ``"a photo of a {}."``; each gives one text sample a class.
        template_sets: other templates, by a name that a user may give instead ("vanilla").
        names: the class names as samples, by label, where the data bring them; none: an encoder reads them, in the
            templates.
        auxiliary: for a modality, the samples to use when it is auxiliary, in place of draws from train.
        encoders: for a modality, the reference of the encoder that suits the data ("pixels"); may be empty.
        draws: published ones, by (shots, seed), then "train" and "val": used as they are for these shots and seed,
            instead of drawn. Their items are in that split of the dataset too, or in none.
        notes: how data and pairs were made, in words, a sentence each; printed before results.
    """

    name: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    templates: tuple[str, ...] = ("{}",)
    template_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: tuple[Sample, ...] = ()
    auxiliary: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    encoders: Mapping[str, str] = field(default_factory=dict)
    draws: Mapping[tuple[int, int], Mapping[str, tuple[Sample, ...]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Opener(Protocol):
    """What a dataset's spec names: opens a dataset."""

    def __call__(self, source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
        """Open the data.

        Args:
            source: what followed ``--data``: a path, or the dataset's own name.
            suffixes: which modality each file suffix is.
            cache: a folder that may be filled with what is made or unpacked.

        Raises:
            DataError: if something is missing or does not fit; it names the file.
        """
        ...
