"""Alignments: ways from one space into another, made by aligners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from xm.alignment.aligner import AlignContext, Aligner, Pairs, Sides
from xm.alignment.pairing import Paired, paired, readable
from xm.data.naming import clean_class_name
from xm.data.types import Dataset
from xm.data.where import LEFT_OUT
from xm.encoders.aligned import Alignment
from xm.encoders.choice import EncoderChoice
from xm.encoders.encoder import Encoder, Prototypes
from xm.encoders.store import FeatureStore
from xm.foundation.errors import DataError, ItemError, UsageError
from xm.foundation.events import Listener, silent
from xm.learning.checkpoint import Checkpoint
from xm.learning.stream import Inputs, Stream
from xm.plugins.blame import fault
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.sound import check_map

FEW = 8
"""Pairs that a map is looked at on."""


@dataclass
class AlignmentMaker:
    """Makes alignments: by the aligner that is named, or the first that applies, by priority.

    Attributes:
        manager: for the aligners.
        encoders: of every modality.
        store: for features.
        aligner: its name, or None: the first that applies.
        settings: of the named aligner.
        seed: of what aligners draw.
        device: where they compute.
        listener: hears their steps.
        descriptions: texts by name, for the classes of encoders' own classifiers too; none: their names stand alone.
    """

    manager: PluginManager
    encoders: EncoderChoice
    store: FeatureStore
    aligner: str | None = None
    settings: Mapping[str, Any] | None = None
    seed: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    listener: Listener = silent
    descriptions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def candidates(self) -> Iterator[tuple[str, Aligner]]:
        """Aligners by name, in the order in which they are asked.

        Raises:
            UsageError: for an unknown name or setting.
        """
        specs = self.manager.aligners
        if self.aligner:
            name = specs.find(self.aligner).name
            yield name, specs.find(name).make(Aligner, self.settings)
            return
        for spec in sorted((s for s in specs.values() if s.priority > 0), key=lambda s: -s.priority):
            yield spec.name, spec.make(Aligner, None)

    def make(
        self,
        source: Encoder,
        target: Encoder,
        pairs: Pairs | None,
        labelled: Stream | None = None,
        checkpoint: Checkpoint | None = None,
        *,
        both: bool = False,
        alone: bool = False,
        refine: bool = False,
    ) -> Alignment:
        """The way from the source's space into the target's; or, if an aligner moves both sides, into one of their own.

        Args:
            source: the encoder whose space is left.
            target: the encoder whose space is home.
            pairs: of items of both.
            labelled: labelled trunk outputs of the target's modality.
            checkpoint: for long fits.
            both: whether the target's side may be moved.
            alone: whether an aligner that could move both is to map the source alone, to where the target is.
            refine: make a map even if the two share a space.

        Raises:
            UsageError: if no aligner applies; it says why each does not.
        """
        if source.space == target.space and not refine:
            return Alignment(source.split(0)[1])
        namer = self.encoders.namer((source.modality, target.modality))
        context = AlignContext(
            source=source,
            target=target,
            namer=None if namer is None else namer.encoder,
            pairs=pairs,
            features=self.features,
            labelled=labelled,
            seed=self.seed,
            device=self.device,
            listener=self.listener,
            checkpoint=checkpoint,
            prototypes=self.prototypes,
        )
        reasons = []
        for name, aligner in self.candidates():
            reason = aligner.why_not(context)
            if reason is None and aligner.moves_target and not both and not alone:
                reason = f"it moves {target.modality} too; save what it makes with xm align, and name it as encoder"
            if reason is None and aligner.depth and not both and not alone:
                reason = f"it trains the {source.modality} encoder; save that with xm align, and name it as encoder"
            if reason is None:
                tail = source.split(aligner.depth)[1].to(self.device) if aligner.depth else None
                given = replace(context, tail=tail)
                sides = aligner.sides(given) if both else Sides(aligner.fit(given))
                made, moved = _checked(aligner, sides, context)
                count = len(pairs) if pairs is not None and aligner.uses_pairs else 0
                return Alignment(made, name, count, moved, aligner.depth)
            reasons.append(f"{name}: {reason}")
        raise UsageError(
            f"{source.modality} (space {source.space}) and {target.modality} (space {target.space}) share no space "
            f"and nothing can align them ({'; '.join(reasons) or 'no aligner is installed'}); give encoders of one "
            f"space, or pairs: xm align --anchor {target.modality} --new {source.modality} --pairs FILE"
        )

    def prototypes(self, encoder: Encoder) -> Prototypes | None:
        """The encoder's own classifier, with the descriptions of its classes."""
        found = encoder.prototypes()
        return found if found is None or not self.descriptions else described(found, self.descriptions)

    @property
    def depth(self) -> int:
        """How deep the named aligner opens the source's encoder."""
        return next(self.candidates())[1].depth if self.aligner else 0

    def features(self, encoder: Encoder, items: Sequence[Any], depth: int = 0) -> Inputs:
        """Trunk outputs, cached.

        Raises:
            DataError: if an item can't be read.
        """
        found = self.store.features(encoder, items, depth=depth)
        if found.failed:
            raise DataError(f"alignment needs every item: {next(iter(found.failed.values()))}")
        return found.x

    def embedded(self, pairs: Paired, source: Encoder, target: Encoder, depth: int = 0) -> tuple[Pairs | None, Paired]:
        """Pairs as trunk outputs, the source's at `depth`, and those that could be read; None if there are none.

        Raises:
            DataError: if there are pairs, but none that can be read.
        """
        if not len(pairs):
            return None, pairs
        failed: dict[int, ItemError] = {}
        for encoder, side in ((source, pairs.left), (target, pairs.right)):
            failed.update(self.store.features(encoder, [sample.item for sample in side]).failed)
        pairs = readable(pairs, failed)
        left, right = ([sample.item for sample in side] for side in (pairs.left, pairs.right))
        return Pairs(self.features(source, left, depth), self.features(target, right), pairs.group), pairs


class WaysHome:
    """The alignments of one training: one a pair of spaces, from all pairs whose encoders live in these spaces.

    Args:
        maker: of alignments.
        dataset: for its pairs; without val and test.
    """

    def __init__(self, maker: AlignmentMaker, dataset: Dataset) -> None:
        self.maker = maker
        self.dataset = dataset
        self._made: dict[tuple[str, str], Alignment] = {}

    def __call__(self, source: Encoder, target: Encoder) -> Alignment:
        """The way from the source's space into the target's.

        Raises:
            UsageError: if no aligner applies; it says why each does not.
        """
        key = (source.space, target.space)
        if source.space == target.space:
            return self.maker.make(source, target, None)
        if key not in self._made:
            self._made[key] = self.maker.make(source, target, self._pairs(source, target))
        return self._made[key]

    def _pairs(self, source: Encoder, target: Encoder) -> Pairs | None:
        encoders = self.maker.encoders
        found: list[Pairs] = []
        for one, other in self._paired_modalities():
            first, second = encoders[one].encoder, encoders[other].encoder
            if (first.space, second.space) == (source.space, target.space):
                pairs, _ = self.maker.embedded(paired(self.dataset, one, other), first, second)
                found += [] if pairs is None else [pairs]
        return _together(found)

    def _paired_modalities(self) -> list[tuple[str, str]]:
        present = sorted({s.modality for s in self.dataset.samples if s.pair is not None})
        return [(one, other) for one in present for other in present if one != other]


def _checked(aligner: Aligner, sides: Any, context: AlignContext) -> tuple[nn.Module, nn.Module | None]:
    """The maps of both sides, frozen, once they were looked at on a few pairs.

    Raises:
        PluginError: if one is no map, or gives anything else than finite vectors of the space.
    """
    if not isinstance(sides, Sides):
        raise fault(aligner, f"sides() gives {type(sides).__name__}, not an xm.Sides")
    given = {} if context.pairs is None else {"source": context.pairs.source, "target": context.pairs.target}
    few = {side: {name: value[:FEW] for name, value in x.items()} for side, x in given.items()}
    check_map(aligner, sides.source, few.get("source"), context.target.dim if sides.target is None else None)
    if sides.target is not None:
        check_map(aligner, sides.target, few.get("target"), None)
        sides.target.eval().requires_grad_(False)
    return sides.source.eval().requires_grad_(False), sides.target


def described(prototypes: Prototypes, descriptions: Mapping[str, Sequence[str]]) -> Prototypes:
    """Prototypes with further texts, of those whose name, or one of several between commas, is described."""
    words = {clean_class_name(name): tuple(texts) for name, texts in descriptions.items()}
    own = prototypes.texts or ((),) * len(prototypes.names)
    texts = []
    for name, said in zip(prototypes.names, own, strict=True):
        found = (words[key] for key in map(clean_class_name, (name, *name.split(","))) if key in words)
        texts.append((*said, *next(found, ())))
    return replace(prototypes, texts=tuple(texts)) if any(texts) else prototypes


def _together(found: Sequence[Pairs]) -> Pairs | None:
    """Pairs of several modalities as one; their groups stay apart."""
    if len(found) < 2:
        return found[0] if found else None
    source, target = (
        {name: torch.cat([side[name] for side in sides]) for name in sides[0]}
        for sides in ([pairs.source for pairs in found], [pairs.target for pairs in found])
    )
    if all(pairs.group is None for pairs in found):
        return Pairs(source, target)
    groups, start = [], 0
    for pairs in found:
        group = torch.arange(len(pairs)) if pairs.group is None else pairs.group
        groups.append(group + start)
        start += int(group.max()) + 1
    return Pairs(source, target, torch.cat(groups))


def without_held_out(splits: Sequence[Dataset]) -> Dataset:
    """A dataset, split several times over, without what is val, test or left out of these in any of the splits."""
    drawn = zip(*(dataset.samples for dataset in splits), strict=True)
    kept = tuple(same[0] for same in drawn if all(sample.split not in ("val", "test", LEFT_OUT) for sample in same))
    return replace(splits[0], samples=kept)
