"""Aligning: encoders that share no space are brought into one, and saved as encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xm.alignment.aligner import Aligner, Pairs
from xm.alignment.diagnosis import Diagnosis, Probe, look, probe
from xm.alignment.maker import AlignmentMaker
from xm.alignment.maps import Projection
from xm.alignment.pairing import RULES, Keys, Paired, by_line, describe, open_pairs, paired, rule
from xm.alignment.settings import AlignReport, AlignSettings
from xm.data.open import open_dataset
from xm.data.splits import split_dataset
from xm.data.types import Dataset, Sample
from xm.encoders.aligned import Aligned, Alignment
from xm.encoders.choice import EncoderChoice
from xm.encoders.encoder import Encoder, Tail, fingerprint_of
from xm.encoders.store import FeatureStore
from xm.evaluation.report import versions
from xm.foundation.device import pick_device
from xm.foundation.errors import UsageError
from xm.foundation.events import Event, Listener, logged
from xm.foundation.files import cache_dir, now, write_json, write_tensors
from xm.foundation.layout import ALIGNMENT, FORMAT, INDEX, map_file
from xm.foundation.new_folder import NewFolder, free_name
from xm.learning.checkpoint import Checkpoint
from xm.learning.stream import Inputs, Stream
from xm.plugins.blame import blaming
from xm.plugins.config import validated
from xm.plugins.plugin_manager import PluginManager, manager

OWN = "own"
"""Pairs as the data say, which is what is taken if nothing is said."""

LOOKED_AT = 2
"""Items on each side, at least, for figures before and after."""


@blaming()
def align(
    anchor: str,
    new: str | tuple[str, ...],
    *,
    listener: Listener = logged,
    plugins: PluginManager | None = None,
    **settings: Any,
) -> AlignReport:
    """Bring encoders of other modalities into the space of an anchor's, and save them as encoders.

    Args:
        anchor: the modality whose encoder's space is home.
        new: the modality or modalities that are brought there.
        listener: hears progress, warnings and notes; by default warnings are logged.
        plugins: the plugin manager; the process's own if None.
        **settings: the fields of `AlignSettings`; each is also a flag of ``xm align``.

    Returns:
        The report; its `run` can be given wherever an encoder is asked for.

    Raises:
        XMError: for whatever is wrong with settings, data or plugins. Nothing is left behind then but the cache, in
            which an interrupted fit goes on when the same is asked again.
    """
    given = {"anchor": anchor, "new": (new,) if isinstance(new, str) else new, **settings}
    return Aligning(validated(AlignSettings, given, "align"), plugins or manager(), listener).run()


class Aligning:
    """One call of `align`, step by step: pairs, encoders, maps, diagnoses, the run folder."""

    def __init__(self, settings: AlignSettings, plugins: PluginManager, listener: Listener = logged) -> None:
        self.settings = settings
        self.plugins = plugins
        self.listener = listener
        self.notes: list[str] = []
        self.device = pick_device(settings.device)
        self.cache = settings.cache or cache_dir()
        self.store = FeatureStore(self.cache / "features", listener=listener)
        self._pairless = False
        if settings.aligner:
            aligner: Aligner = plugins.aligners.find(settings.aligner).make(Aligner, settings.of_aligner)
            self._pairless = settings.pairs == OWN and not aligner.uses_pairs
        self.table = Path(settings.pairs).expanduser() if settings.pairs not in RULES else None
        if self.table is not None and not self.table.exists() and not self.table.suffix:
            rule(settings.pairs)
        self.dataset = self._dataset()
        self.encoders = EncoderChoice(plugins, self.dataset, self.device, settings.encoders)
        self._brought: dict[str, Alignment] = {}

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.listener(Event("note", {"message": text}))

    def _dataset(self) -> Dataset:
        """The data, without what `train` would take for val and test.

        Nothing if none are named and none are needed: pairs are in a table, or the aligner takes none.
        """
        if self.settings.data is None and (self.table is not None or self._pairless):
            return Dataset(name="" if self.table is None else self.table.stem, classes=(), samples=())
        dataset = split_dataset(open_dataset(self.settings.data, self.plugins, self.cache))
        for note in dataset.notes:
            self._note(note)
        kept = tuple(sample for sample in dataset.samples if sample.split not in ("val", "test"))
        return replace(dataset, samples=kept)

    @cached_property
    def pairable(self) -> tuple[Dataset, Keys, int | None]:
        """Where pairs come from, what makes them, and how many partners an item has."""
        if self.table is None:
            name = self.settings.pairs
            return self.dataset, rule(name), self.settings.partners if name == "weak" else None
        read = open_pairs(self.table, self.plugins.suffixes(), lambda m: self.encoders[m].encoder.accepts_names)
        return read, by_line, None

    def pairs(self, modality: str) -> Paired:
        """All pairs of a new modality, on the left, and the anchor."""
        dataset, keys, partners = self.pairable
        return paired(dataset, modality, self.settings.anchor, keys, partners, self.settings.seed)

    def _divided(self, modality: str) -> tuple[Paired, Paired]:
        """What is learned from, and what is held out to look at.

        Raises:
            UsageError: if pairs were asked for and none are left.
        """
        found, settings = self.pairs(modality), self.settings
        learned, held = found.split(settings.holdout, settings.seed)
        if settings.pairs != OWN and not len(learned):
            sides = f"{modality} and {settings.anchor}"
            why = f"has no pairs of {sides}"
            if len(found):
                why = f"all {len(found)} pairs of {sides} are held out; add pairs, or type --holdout 0"
            raise UsageError(f"--pairs {settings.pairs}: {why}")
        return learned, held

    def run(self) -> AlignReport:
        """Do it all and write the run folder."""
        settings = self.settings
        anchor = self.encoders[settings.anchor].encoder
        name = partial(free_name, settings.anchor, *settings.new, "align")
        with NewFolder(settings.out, name) as folder:
            home, moved, diagnoses = anchor, None, []
            ways: dict[str, dict[str, Any]] = {settings.anchor: self._way(settings.anchor, "", 0, 0)}
            maps: dict[str, dict[str, Tensor]] = {}
            for modality in settings.new:
                made, diagnosis, home = self._bring(modality, home, movable=moved is None)
                ways[modality] = self._way(modality, made.aligner, made.pairs, made.depth)
                maps[modality] = made.tensors()
                diagnoses += [] if diagnosis is None else [diagnosis]
                if made.target is not None:
                    moved = home
                    ways[settings.anchor] |= {"aligner": made.aligner, "pairs": made.pairs}
                    maps[settings.anchor] = dict(made.target.state_dict())
            report = AlignReport(
                settings.anchor, home.space, home.dim, ways, tuple(diagnoses), self._probe(anchor, moved), (), "", {}
            )
            for modality, tensors in maps.items():
                write_tensors(folder.partial / map_file(modality), tensors)
            report = replace(report, notes=tuple(self.notes), versions=versions(self.plugins))
            written = {**settings.model_dump(mode="json"), "aligner_set": settings.of_aligner}

            def write_index(place: Path) -> None:
                head = {"format": FORMAT, "kind": ALIGNMENT, "created": now(), "settings": written}
                write_json(folder.partial / INDEX, {**head, **replace(report, run=str(place)).to_json()})

            return replace(report, run=str(folder.publish(write_index)))

    def _bring(self, modality: str, home: Encoder, *, movable: bool) -> tuple[Alignment, Diagnosis | None, Encoder]:
        """The way of a modality into the home space, what it does, and home, which may have moved."""
        settings, source = self.settings, self.encoders[modality].encoder
        if source.space == home.space and settings.aligner is None:
            raise UsageError(
                f"{modality} and {settings.anchor} share the space {home.space} already; to refine it, name an "
                "aligner with --aligner"
            )
        if source.space in self._brought:
            self._note(f"{modality}: encoder {self.encoders[modality].reference}, of a space that was brought already")
            return replace(self._brought[source.space], target=None), None, home
        learned, held = self._divided(modality)
        maker = AlignmentMaker(
            self.plugins,
            self.encoders,
            self.store,
            settings.aligner,
            settings.of_aligner,
            settings.seed,
            self.device,
            self.listener,
        )
        pairs, learned = maker.embedded(learned, source, home, maker.depth)
        shown, held = maker.embedded(held, source, home, maker.depth)
        checkpoint, labelled = self._checkpoint(source, home, pairs), self._labelled(home, held)
        made = maker.make(source, home, pairs, labelled, checkpoint, both=movable, alone=not movable, refine=True)
        if min(held.items) < LOOKED_AT:
            shown, held = pairs, learned
        self._brought[source.space] = made
        after = home
        if made.target is not None:
            space = fingerprint_of("space", *(v.numpy().tobytes() for v in made.target.cpu().state_dict().values()))
            after = Aligned(home, made.target, f"aligned-{space[:12]}", self._size(made.target, home))
        brought = Aligned(source, made.map, after.space, after.dim, made.depth)
        said = f", from {describe(learned)}" if made.pairs else ", without pairs"
        self._note(
            f"{modality}: encoder {self.encoders[modality].reference}, brought to {home.space} by {made.aligner}{said}"
        )
        if made.target is not None:
            self._note(f"{settings.anchor}: moved too; the space {after.space} is neither's own")
        if shown is None or min(held.items) < LOOKED_AT:
            self._note(f"{modality}: no pairs to look at")
            return made, None, after
        diagnosis = Diagnosis(
            modality,
            len(held),
            held is not learned,
            look(self._before(source, home, [s.item for s in held.left]), Tail()(shown.target), held),
            look(
                brought.derive(self._on_device(shown.source))["features"].cpu(), self._moved(after, home, shown), held
            ),
        )
        return made, diagnosis, after

    def _on_device(self, x: Inputs) -> Inputs:
        return {name: value.to(self.device) for name, value in x.items()}

    def _moved(self, after: Encoder, home: Encoder, pairs: Pairs) -> Tensor:
        """The anchor's side of pairs, where it is after alignment."""
        if after is home or not isinstance(after, Aligned):
            unmoved: Tensor = Tail()(pairs.target)
            return unmoved
        return after.derive(self._on_device(pairs.target))["features"].cpu()

    def _size(self, map: torch.nn.Module, encoder: Encoder) -> int:
        with torch.no_grad():
            return int(map.to(self.device)({"features": torch.ones(1, encoder.dim, device=self.device)}).shape[1])

    def _before(self, source: Encoder, home: Encoder, items: Sequence[Any]) -> Tensor:
        """The new modality's side before alignment: as it is in a shared space, else by a random projection."""
        vectors: Tensor = Tail()(self.store.features(source, items).x)
        if source.space == home.space:
            return vectors
        generator = torch.Generator().manual_seed(self.settings.seed)
        projected: Tensor = Projection.fresh("linear", source.dim, home.dim, generator)(vectors).detach()
        return projected

    def _labels(self) -> list[Sample]:
        return [s for s in self.dataset.samples if s.modality == self.settings.anchor and s.label is not None]

    def _labelled(self, home: Encoder, held: Paired) -> Stream | None:
        """The anchor's labelled samples, as trunk outputs, without those that are held out."""
        out = {id(sample) for sample in held.right}
        samples = [sample for sample in self._labels() if id(sample) not in out]
        features = self.store.features(home, [sample.item for sample in samples])
        if not len(features.kept):
            return None
        return Stream(
            self.settings.anchor, features.x, torch.tensor([samples[i].label for i in features.kept.tolist()])
        )

    def _probe(self, anchor: Encoder, moved: Encoder | None) -> Probe | None:
        samples = self._labels()
        features = self.store.features(anchor, [sample.item for sample in samples])
        kept = [samples[i] for i in features.kept.tolist()]
        if not kept:
            return None
        after = None
        if isinstance(moved, Aligned):
            after = moved.derive(self._on_device(features.x))["features"].cpu()
        labels = torch.tensor([sample.label for sample in kept])
        return probe(Tail()(features.x), after, labels, [sample.group for sample in kept])

    def _checkpoint(self, source: Encoder, home: Encoder, pairs: Pairs | None) -> Checkpoint:
        """Where a long fit of exactly this keeps how far it came."""
        settings = self.settings.model_dump(mode="json", exclude={"out", "cache", "device"})
        sides = () if pairs is None else (*pairs.source.values(), *pairs.target.values())
        name = fingerprint_of(
            repr(settings), source.fingerprint(), home.fingerprint(), *(value.numpy().tobytes() for value in sides)
        )
        return Checkpoint(self.cache / "checkpoints" / f"{name}.safetensors")

    def _way(self, modality: str, aligner: str, pairs: int, depth: int) -> dict[str, Any]:
        chosen = self.encoders[modality]
        return {
            "encoder": chosen.reference,
            "fingerprint": chosen.encoder.fingerprint(),
            "space": chosen.encoder.space,
            "aligner": aligner,
            "pairs": pairs,
            "depth": depth,
        }
