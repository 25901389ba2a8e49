"""Samples and datasets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from xm.data.class_texts import beside_name
from xm.foundation.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLITS = ("train", "val", "test")
"""The splits that labels are learned from, chosen on, and scored on."""


DESCRIPTIONS = "descriptions"
"""The name of the texts that may enter where class names do (`Dataset.described`)."""

Triple: TypeAlias = tuple[str, str, str]
"""Class, relation, concept."""


@dataclass(frozen=True)
class View:
    """An item, seen in another way: its mirror image, a part of it, under noise.

    Attributes:
        item: a path or an array, as encoders of its modality read it.
        name: of a kind that the encoder knows (`xm.Encoder.views`), and a number where there are several: "crop2".
        params: more of how it is seen, by name: ``strength``, a number; a box, a mask. Parts of an item's content.
    """

    item: Any
    name: str
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, item: Any, text: str) -> View:
        """A view as a user types it: "flip", "crop2", "noise:0.2", where a number behind a colon is its ``strength``.

        Raises:
            UsageError: if what is behind the colon is no number, or nothing is before it.
        """
        name, colon, strength = text.partition(":")
        try:
            params = {"strength": float(strength)} if colon else {}
            if name.rstrip("0123456789") and all(math.isfinite(value) for value in params.values()):
                return cls(item, name, params)
        except ValueError:
            pass
        raise UsageError(f"view {text!r}: write a name, and behind a colon its strength, a number: noise:0.2")

    @property
    def kind(self) -> str:
        """The name without its number."""
        return self.name.rstrip("0123456789")

    @property
    def text(self) -> str:
        """As a user types it."""
        return f"{self.name}:{self.params['strength']:g}" if "strength" in self.params else self.name

    def draw(self, content: bytes) -> Random:
        """What a view is drawn from: its name and something of the item's content, the same on every machine.

        Not its `params`: so a stronger noise is the same noise, only stronger.
        """
        return Random(self.name.encode() + content)


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
        metadata: what else is known of it, by name (language, domain, camera); ``--where`` selects by it. It makes no
            difference to digests or to which samples are equal.
    """

    item: Any
    modality: str
    label: int | None = None
    split: str | None = None
    group: str | None = None
    pair: str | None = None
    tags: tuple[str, ...] = ()
    source: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, eq=False)
class Semantics:
    """What is known of classes, in one of three forms; the others are None.

    Attributes:
        texts: by class name, any number; a class that is not among them has none. Other names may be among them: those
            of an encoder's own classes (`xm.Prototypes`).
        matrix: (classes, attributes), finite; a row for each class of the dataset, in its order.
        attributes: what the matrix's columns are; () where they have no names.
        triples: such as ("tench", "is a", "fish"); a concept may be the first of others.
        aliases: beside texts, other names by class name: synonyms, or the name in other languages.
        languages: the tags of texts and aliases, by these, where they are known.

    Raises:
        ValueError: if it is not exactly one of them.
    """

    texts: Mapping[str, tuple[str, ...]] | None = None
    matrix: NDArray[Any] | None = None
    attributes: tuple[str, ...] = ()
    triples: tuple[Triple, ...] | None = None
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    languages: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.texts, self.matrix, self.triples)) != 1:
            raise ValueError("semantics are texts, a matrix or triples: give one of them")

    @property
    def kind(self) -> Literal["texts", "matrix", "triples"]:
        """Which of the three it is."""
        return "texts" if self.texts is not None else "matrix" if self.matrix is not None else "triples"


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
        semantics: what is known of the classes, by a name that a user may give (``--semantics NAME=FILE`` adds to it).
        described: whether the texts named "descriptions" enter where class names do (``--descriptions FILE``).
        described_as: what they are: "texts", in train and in classifiers of names; "samples", in train alone;
            "templates", in classifiers of names alone, and behind the name where they do not name their class.
        called: other names that files by dataset may call it by.
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
    semantics: Mapping[str, Semantics] = field(default_factory=dict)
    described: bool = False
    described_as: Literal["texts", "samples", "templates"] = "texts"
    called: tuple[str, ...] = ()

    @property
    def descriptions(self) -> Mapping[str, tuple[str, ...]]:
        """Texts that enter classifiers of names, by name; none unless `described`, or if they are samples alone."""
        found = self._told.texts or {}
        if self.described_as != "templates":
            return {} if self.described_as == "samples" else found
        return {
            name: tuple(beside_name(name, text, (name, *self._told.aliases.get(name, ()))) for text in texts)
            for name, texts in found.items()
        }

    @property
    def _told(self) -> Semantics:
        """What enters where class names do."""
        found = self.semantics.get(DESCRIPTIONS)
        return found if found is not None and self.described else Semantics(texts={})

    def sentences(self, label: int) -> tuple[str, ...]:
        """What a class is called: its name, and its aliases, in each template, and its descriptions."""
        return (*self._named(label), *self.descriptions.get(self.classes[label], ()))

    def texts(self, label: int) -> tuple[Sample, ...]:
        """A class's samples in words, of no modality yet: its names in each template, and descriptions if samples."""
        told = self._told
        said = () if self.described_as == "templates" else (told.texts or {}).get(self.classes[label], ())
        return tuple(
            Sample(
                text, "", label, "train", metadata={"language": told.languages[text]} if text in told.languages else {}
            )
            for text in (*self._named(label), *said)
        )

    def _named(self, label: int) -> tuple[str, ...]:
        """A class's name, and aliases, in each template."""
        name = self.classes[label]
        names = (name, *self._told.aliases.get(name, ()))
        return tuple(template.format(one) for one in names for template in self.templates)


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
