"""Classification by the names of classes alone: no run, and no training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xm.data.paths import modality_of
from xm.data.types import Dataset
from xm.encoders.choice import Chosen, EncoderChoice
from xm.evaluation.report import Prediction
from xm.experiment.knowledge import with_semantics
from xm.experiment.named_classifier import NamedClassifier
from xm.experiment.predictions import by_modality
from xm.experiment.settings import TrainSettings, with_templates
from xm.foundation.device import pick_device
from xm.foundation.errors import PluginError, UsageError, no_names
from xm.foundation.events import Listener, logged
from xm.foundation.files import cache_dir
from xm.plugins.config import validated
from xm.plugins.plugin_manager import PluginManager, manager

ZERO_SHOT = "zero-shot"


def classify(
    items: Sequence[Any],
    classes: Sequence[str],
    *,
    modality: str | None = None,
    encoders: Mapping[str, str] | None = None,
    templates: Sequence[str] = (),
    descriptions: Path | None = None,
    aligner: str | None = None,
    strategy: str = ZERO_SHOT,
    predictor: str | None = None,
    device: str = "auto",
    cache: Path | None = None,
    plugins: PluginManager | None = None,
    listener: Listener = logged,
) -> list[Prediction]:
    """Predictions for items among classes of which nothing is known but their names; see `ByNames`.

    Args:
        items: paths, or what encoders read. A string is a path, unless the encoder of its modality reads names.
        classes: in words, two at least.
        modality: of the items; None: by the suffix of each.
        encoders: modality to encoder, as of `xm.train`.
        templates: sentences around a class name, ``"a photo of a {}."``; none: the bare name.
        descriptions: a file of texts by class name, which enter beside the names.
        aligner: where encoders share no space; None: the first that applies.
        strategy: what makes a classifier of names.
        predictor: the decision rule; None: the strategy's own, else argmax.
        device: where to compute.
        cache: for embedded names; None: XM_CACHE or the platform's.
        plugins: the plugin manager; the process's own if None.
        listener: hears notes and warnings; by default warnings are logged.

    Returns:
        One an item, in their order; one that can't be read has an error instead of a label.

    Raises:
        UsageError: for fewer than two classes, an item of no known modality, or encoders that nothing brings together.
    """
    made = ByNames(
        classes,
        encoders=encoders,
        templates=templates,
        descriptions=descriptions,
        aligner=aligner,
        strategy=strategy,
        predictor=predictor,
        device=device,
        cache=cache,
        plugins=plugins,
        listener=listener,
    )
    return made.predict(items, modality=modality)


class ByNames:
    """A classifier of nothing but names. What it makes, it keeps: a modality's encoder and classifier are made once.

    It is what ``xm train --shots 0`` makes of a text encoder, so that both give the same probabilities.

    Args: as of `classify`.

    Raises:
        UsageError: for fewer than two classes, or an unknown name.
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        encoders: Mapping[str, str] | None = None,
        templates: Sequence[str] = (),
        descriptions: Path | None = None,
        aligner: str | None = None,
        strategy: str = ZERO_SHOT,
        predictor: str | None = None,
        device: str = "auto",
        cache: Path | None = None,
        plugins: PluginManager | None = None,
        listener: Listener = logged,
    ) -> None:
        self.classes = _checked(classes)
        self.plugins = plugins or manager()
        self.device = pick_device(device)
        self.listener = listener
        self.cache = cache or cache_dir()
        self.given: dict[str, Any] = {
            "encoders": dict(encoders or {}),
            "templates": tuple(templates),
            "descriptions": descriptions,
            "aligner": aligner,
            "strategy": strategy,
            "predictor": predictor,
        }
        settings = self._settings("")
        spec = self.plugins.strategies.find(settings.strategy)
        if spec.needs_target or spec.needs_unlabelled:
            able = (s.name for s in self.plugins.strategies.values() if not (s.needs_target or s.needs_unlabelled))
            raise UsageError(
                f"strategy {spec.name!r} learns from items, so that names alone make no classifier; one that can do "
                f"without: {', '.join(sorted(able)) or 'none is installed'}"
            )
        self.dataset = with_semantics(
            with_templates(Dataset("classes", self.classes, ()), settings.templates), settings
        )
        self.encoders = EncoderChoice(self.plugins, self.dataset, self.device, settings.encoders)
        self._made: dict[str, NamedClassifier] = {}

    def predict(self, items: Sequence[Any], *, modality: str | None = None) -> list[Prediction]:
        """Predictions for items, in their order; one that can't be read has an error instead of a label.

        Args:
            items: paths, or what encoders read. A string is a path, unless the encoder of its modality reads names.
            modality: of the items; None: by the suffix of each.

        Raises:
            UsageError: for an item of no known modality, or encoders that nothing brings together.
        """
        suffixes = self.plugins.suffixes()

        def of(item: Any) -> str:
            found = modality or (modality_of(Path(item), suffixes) if isinstance(item, str | Path) else None)
            if found is None:
                raise UsageError(
                    f"{item if isinstance(item, str | Path) else type(item).__name__}: nothing says what it is of; "
                    f"name it with --modality NAME (known: {', '.join(self.encoders.modalities())})"
                )
            return found

        return by_modality(items, of, lambda name: self.encoders[name].encoder, self._predict)

    def namers(self, target: str | None = None) -> Iterator[Chosen]:
        """Encoders that read names: of those that the user named; else those in the target's space, then others.

        Args:
            target: the modality to be classified; None: any.
        """
        modalities = self.encoders.modalities()
        named = [modality for modality in self.encoders.named if self.encoders[modality].encoder.accepts_names]
        readers = []
        for modality in named or modalities:
            try:
                chosen = self.encoders[modality]
            except PluginError:  # none can be used here
                continue
            readers += [chosen] if chosen.encoder.accepts_names else []
        space = None if target is None else self.encoders[target].encoder.space
        yield from sorted(readers, key=lambda chosen: chosen.encoder.space != space)

    @property
    def used(self) -> dict[str, str]:
        """Modality to the encoder's reference, of items and of names, as far as there were items."""
        namers = (made.namer.modality for made in self._made.values())
        return {modality: self.encoders[modality].reference for modality in (*self._made, *namers)}

    def _settings(self, modality: str) -> TrainSettings:
        return validated(TrainSettings, {"modality": modality, "shots": (0,), **self.given}, "classify")

    def _predict(self, modality: str, items: list[Any]) -> Iterator[Prediction]:
        if modality not in self._made:
            self._made[modality] = self._classifier(modality)
        return self._made[modality].predict(items)

    def _classifier(self, modality: str) -> NamedClassifier:
        """By the first encoder of names that meets that of the modality."""
        wrong = None
        settings = self._settings(modality)
        places = self.plugins, self.dataset, self.encoders
        for namer in self.namers(modality):
            try:
                return NamedClassifier(settings, *places, namer, self.device, self.cache, self.listener)
            except UsageError as error:
                wrong = wrong or error
        raise wrong or no_names()


def _checked(classes: Sequence[str]) -> tuple[str, ...]:
    """Class names without what stands around them.

    Raises:
        UsageError: if they are fewer than two, or one is there twice.
    """
    if isinstance(classes, str):
        raise UsageError(f"classes are a list of names: {[part.strip() for part in classes.split(',')]}")
    names = tuple(name for given in classes if (name := given.strip()))
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UsageError(f"--classes: {twice[0]!r} is there twice")
    if len(names) < 2:
        said = f"one alone, {names[0]!r}" if names else "no name"
        raise UsageError(f'--classes: {said}; name two at least, to decide between: --classes "a cat,a dog"')
    return names
