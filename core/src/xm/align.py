"""Towers: every modality's way into the home space, through an aligner where spaces differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from xm.aligner import AlignContext, Aligner, Pairs
from xm.data.types import Dataset, Sample
from xm.encoder import Encoder, Inputs
from xm.encoders import EncoderChoice
from xm.errors import DataError, UsageError
from xm.model import Behind
from xm.plugins import PluginManager
from xm.store import FeatureStore


@dataclass(frozen=True)
class Alignment:
    """A way into the home space.

    Attributes:
        map: from trunk outputs to vectors of the home space.
        aligner: its name; "" where the spaces are one and the map is the encoder's own tail.
        pairs: how many pairs it saw; 0 if it needs none.
    """

    map: nn.Module
    aligner: str = ""
    pairs: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """What `restore` needs."""
        return dict(self.map.state_dict()) if self.aligner else {}


class AlignmentMaker:
    """Makes the alignments of one experiment: one a pair of spaces.

    Args:
        manager: for the aligners.
        encoders: of every modality.
        dataset: for its pairs; without val and test.
        store: for features.
        aligner: its name, or None: the first that applies, by priority.
        settings: of the named aligner.
    """

    def __init__(
        self,
        manager: PluginManager,
        encoders: EncoderChoice,
        dataset: Dataset,
        store: FeatureStore,
        aligner: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.manager = manager
        self.encoders = encoders
        self.dataset = dataset
        self.store = store
        self.settings = settings if aligner else None
        specs = manager.aligners
        self.names = (
            [specs.find(aligner).name]
            if aligner
            else [spec.name for spec in sorted(specs.values(), key=lambda s: -s.priority)]
        )
        self._made: dict[tuple[str, str], Alignment] = {}

    def __call__(self, source: Encoder, target: Encoder) -> Alignment:
        """The way from the source's space into the target's.

        Raises:
            UsageError: if no aligner applies; it says why each does not.
        """
        if source.space == target.space:
            return Alignment(source.split(0)[1])
        key = (source.space, target.space)
        if key not in self._made:
            self._made[key] = self._make(source, target)
        return self._made[key]

    def _make(self, source: Encoder, target: Encoder) -> Alignment:
        namer = self.encoders.namer((source.modality, target.modality))
        context = AlignContext(
            source=source,
            target=target,
            namer=None if namer is None else namer.encoder,
            pairs=self._pairs(source, target),
            features=self._features,
        )
        reasons = []
        for name in self.names:
            aligner: Aligner = self.manager.aligners.find(name).load()(self.settings)
            reason = aligner.why_not(context)
            if reason is None:
                counted = context.pairs if aligner.uses_pairs else None
                pairs = 0 if counted is None else len(next(iter(counted.source.values())))
                return Alignment(aligner.fit(context).eval().requires_grad_(False), name, pairs)
            reasons.append(f"{name}: {reason}")
        raise UsageError(
            f"{source.modality} (space {source.space}) and {target.modality} (space {target.space}) share no space "
            f"and nothing can align them ({'; '.join(reasons) or 'no aligner is installed'}); "
            "give pairs in a manifest, or encoders of one space"
        )

    def _features(self, encoder: Encoder, items: Sequence[Any]) -> Inputs:
        features = self.store.features(encoder, items)
        if features.failed:
            raise DataError(f"alignment needs every item: {next(iter(features.failed.values()))}")
        return features.x

    def _pairs(self, source: Encoder, target: Encoder) -> Pairs | None:
        """All pairs, of any modalities, whose encoders live in the two spaces."""
        sides: tuple[list[Any], list[Any]] = ([], [])
        used: list[Encoder] = []
        for one, other in self._paired_modalities():
            first, second = self.encoders[one].encoder, self.encoders[other].encoder
            if (first.space, second.space) == (source.space, target.space):
                for left, right in pairs_of(self.dataset, one, other):
                    sides[0].append(left.item)
                    sides[1].append(right.item)
                used = [first, second]
        if not used:
            return None
        return Pairs(self._features(used[0], sides[0]), self._features(used[1], sides[1]))

    def _paired_modalities(self) -> list[tuple[str, str]]:
        present = sorted({s.modality for s in self.dataset.samples if s.pair is not None})
        return [(one, other) for one in present for other in present if one != other]


def without_held_out(splits: Sequence[Dataset]) -> Dataset:
    """A dataset, split several times over, without the samples that are val or test in any of the splits."""
    drawn = zip(*(dataset.samples for dataset in splits), strict=True)
    kept = tuple(same[0] for same in drawn if all(sample.split not in ("val", "test") for sample in same))
    return replace(splits[0], samples=kept)


def pairs_of(dataset: Dataset, one: str, other: str) -> list[tuple[Sample, Sample]]:
    """Samples of two modalities that belong together, in the dataset's order."""
    sides: dict[str, dict[str, list[Sample]]] = {one: {}, other: {}}
    for sample in dataset.samples:
        if sample.pair is not None and sample.modality in sides:
            sides[sample.modality].setdefault(sample.pair, []).append(sample)
    return [
        (left, right) for pair, lefts in sides[one].items() for left in lefts for right in sides[other].get(pair, [])
    ]


def labelled_in_pairs(dataset: Dataset, modality: str) -> list[Sample]:
    """Labelled samples of a modality that belong together with samples of another."""
    others = sorted({s.modality for s in dataset.samples if s.modality != modality})
    found = [sample for other in others for sample, _ in pairs_of(dataset, modality, other)]
    return list({id(s): s for s in found if s.label is not None}.values())


def opened(alignment: Alignment, encoder: Encoder, depth: int) -> nn.Module:
    """The map with its encoder's last part in it, trainable: from trunk outputs at `depth`.

    Raises:
        UsageError: if the encoder can't be split there, or the alignment needs more than its features.
    """
    if depth == 0:
        return alignment.map
    tail = encoder.split(depth)[1]
    if not alignment.aligner:
        return tail
    if encoder.prototypes() is not None:
        raise UsageError(
            f"the {encoder.modality} encoder can't be opened: aligner {alignment.aligner!r} reads its class scores; "
            "use one that shares the home space"
        )
    return Behind(tail, alignment.map)


def restored(
    aligner: str,
    tensors: Mapping[str, Tensor],
    encoder: Encoder,
    manager: PluginManager,
    settings: Mapping[str, Any] | None = None,
) -> Alignment:
    """An alignment again, from its name, tensors and the aligner's settings."""
    if not aligner:
        return Alignment(encoder.split(0)[1])
    made: Aligner = manager.aligners.find(aligner).load()(settings)
    return Alignment(made.restore(tensors).eval().requires_grad_(False), aligner)
