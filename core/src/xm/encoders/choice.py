"""Choosing encoders: references, defaults, and which of them read names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from xm.data.types import Dataset
from xm.encoders.encoder import Encoder
from xm.encoders.languages import in_words, language_of
from xm.encoders.reference import SavedAlignment, is_run, located, make_encoder
from xm.foundation.errors import PluginError, UsageError, unknown
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import EncoderSpec

BEST = "the best that can be used here"


@dataclass(frozen=True)
class Chosen:
    """An encoder and how it was named.

    Attributes:
        reference: "NAME", "NAME:ARGUMENT" or the folder of a run of ``xm align``: what makes the encoder again.
        encoder: itself.
        why: who chose it, in words.
        language: whether the language of the class names had a part in that, or should have had.
    """

    reference: str
    encoder: Encoder
    why: str
    language: bool = False


@dataclass
class EncoderChoice:
    """The encoders of one experiment, made on first use.

    A modality's encoder is the one the user named, else the one the dataset asks for, else one that shares a named
    encoder's plugin, argument and space (CLIP's text tower beside its image tower), else the available one with the
    highest priority: of those that read the language of the class names, if any is known to.
    """

    manager: PluginManager
    dataset: Dataset
    device: torch.device
    named: Mapping[str, str] = field(default_factory=dict)
    _made: dict[str, Chosen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        modalities = self.modalities()
        for modality in self.named:
            if modality not in modalities:
                raise unknown("modality", modality, modalities)

    def modalities(self) -> list[str]:
        """Every modality that some plugin encodes, or the dataset has an encoder for."""
        return sorted({*self.manager.modalities(), *self.dataset.encoders})

    def __getitem__(self, modality: str) -> Chosen:
        """The encoder of a modality.

        Raises:
            UsageError: if the modality or the reference is unknown.
            PluginError: if no encoder of the modality can be used here; it says why.
        """
        if modality not in self._made:
            self._made[modality] = self._make(modality)
        return self._made[modality]

    def _make(self, modality: str) -> Chosen:
        if modality in self.named:
            reference = located(self.named[modality])
            return Chosen(reference, self._resolve(reference, modality), "you named it")
        if modality in self.dataset.encoders:
            reference = self.dataset.encoders[modality]
            return Chosen(reference, self._resolve(reference, modality), f"{self.dataset.name} asks for it")
        for other, reference in self.named.items():
            fellow = self._fellow(reference, other, modality)
            if fellow is not None:
                return fellow
        spec, *others = self._defaults(modality)
        return self._by_language(spec, others) or self._chosen(spec, BEST)

    def _chosen(self, spec: EncoderSpec, why: str, language: bool = False) -> Chosen:
        return Chosen(spec.name, self._resolve(spec.name, spec.modality), why, language)

    def _by_language(self, best: EncoderSpec, others: Sequence[EncoderSpec]) -> Chosen | None:
        """The choice, where class names are of a language that the best encoder is not said to read."""
        if not best.languages:
            return None
        found = language_of(self.dataset.classes, {code for spec in (best, *others) for code in spec.languages})
        if found is None or set(found.codes) & set(best.languages):
            return None
        reads = f"{best.name} reads {in_words(best.languages)}"
        able = next((spec for spec in others if set(found.codes) & set(spec.languages)), None)
        if able is not None and found.sure:
            return self._chosen(able, f"class names {found.said}; {reads}", language=True)
        flag = f"--{best.modality}-encoder"
        if able is None:
            why = f"{BEST}, but class names {found.said} and {reads}: name one for them by {flag}"
        else:
            why = f"{BEST}; {reads}: if class names are {found.words}, type {flag} {able.name}"
        return self._chosen(best, why, language=True)

    def _fellow(self, reference: str, other: str, modality: str) -> Chosen | None:
        """The encoder of `modality` that lives with the named one: same plugin, argument and space."""
        if is_run(reference):
            return self._of_run(located(reference), other, modality)
        specs, argument = self.manager.encoders, reference.partition(":")[2]
        plugin = specs.plugin_of.get(reference.partition(":")[0])
        for spec in specs.values():
            if (
                spec.modality == modality
                and specs.plugin_of[spec.name] == plugin
                and bool(argument) <= bool(spec.argument)
            ):
                try:
                    encoder: Encoder = spec.make(Encoder, argument).to(self.device)
                except UsageError:  # what the argument names is of another kind
                    continue
                if encoder.space == self[other].encoder.space:
                    name = f"{spec.name}:{argument}" if argument else spec.name
                    return Chosen(name, encoder, f"it shares the space of the {other} encoder")
        return None

    def _of_run(self, reference: str, other: str, modality: str) -> Chosen | None:
        if modality not in SavedAlignment(Path(reference)).ways:
            return None
        return Chosen(reference, self._resolve(reference, modality), f"it shares the space of the {other} encoder")

    def _resolve(self, reference: str, modality: str) -> Encoder:
        return make_encoder(reference, self.manager, self.device, modality)

    def _defaults(self, modality: str) -> list[EncoderSpec]:
        """The encoders that can be used without being named, the best first; one at least."""
        specs = [spec for spec in self.manager.encoders.values() if spec.modality == modality]
        if not specs:
            raise unknown("modality", modality, self.modalities())
        asked = sorted((s for s in specs if s.priority > 0), key=lambda s: -s.priority)
        reasons = {spec.name: spec.why_not() for spec in asked}
        if usable := [spec for spec in asked if reasons[spec.name] is None]:
            return usable
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        names = ", ".join(sorted(spec.name for spec in specs))
        raise PluginError(
            f"no {modality} encoder can be used by default ({told or 'none has a priority'}); "
            f"name one with --{modality}-encoder (known: {names})"
        )

    def namer(self, preferred: tuple[str, ...] = ()) -> Chosen | None:
        """An encoder that reads names: of the preferred modalities, else of any; None if there is none."""
        for modality in dict.fromkeys((*preferred, *self.named, *self.dataset.encoders, *self.modalities())):
            try:
                chosen = self[modality]
            except PluginError:
                continue
            if chosen.encoder.accepts_names:
                return chosen
        return None
