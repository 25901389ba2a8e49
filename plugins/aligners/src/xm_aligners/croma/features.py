"""Features of a world's items: unit vectors of one or several encoders, side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import DataError
from xm.encoders import FeatureStore, make_encoder
from xm.plugins import PluginManager
from xm_aligners.croma.worlds import Item, World

ENCODERS = {"image": "efficientnet-lite0+pixels", "text": "minilm", "audio": "yamnet+logmel"}
"""By modality; those joined by + stand side by side, each at unit length."""


@dataclass(frozen=True)
class Side:
    """n items of one modality.

    Attributes:
        x: (n, dim).
        y: (n,) labels.
        group: (n) names of what is kept whole.
    """

    x: Tensor
    y: Tensor
    group: tuple[str, ...]


@dataclass(frozen=True)
class Featured:
    """A world with its features."""

    world: World
    seen: Side
    heard: Side

    @cached_property
    def digest(self) -> str:
        """Identifies features, labels and groups."""
        made = hashlib.blake2b(self.world.source.encode(), digest_size=16)
        for side in (self.seen, self.heard):
            made.update(side.x.numpy().tobytes() + side.y.numpy().tobytes() + repr(side.group).encode())
        return made.hexdigest()


def featured(world: World, encoders: Mapping[str, str], store: FeatureStore, plugins: PluginManager) -> Featured:
    """The features of both sides, from the store or computed.

    Raises:
        XMError: if an encoder can't be used here.
    """
    sides = []
    for modality, items in ((world.source, world.seen), (world.target, world.heard)):
        x, kept = _features(encoders.get(modality, ENCODERS[modality]), modality, items, store, plugins)
        rows = [items[i] for i in kept]
        if not rows:
            raise DataError(f"none of the {len(items)} {modality} items could be read")
        sides.append(Side(x, torch.tensor([row.label for row in rows]), tuple(row.group for row in rows)))
    return Featured(world, *sides)


def _features(
    reference: str, modality: str, items: Sequence[Item], store: FeatureStore, plugins: PluginManager
) -> tuple[Tensor, list[int]]:
    """Vectors (n, sum of dims) of the items that every encoder could read, and which these are."""
    given = [item.item for item in items]
    found = []
    for name in reference.split("+"):
        encoder = make_encoder(name, plugins, torch.device("cpu"), modality)
        features = store.features(encoder, given)
        found.append((normalize(features.x["features"].float(), dim=1), features.kept.tolist()))
    kept = sorted(set.intersection(*(set(rows) for _, rows in found)))
    parts = []
    for x, rows in found:
        place = {row: i for i, row in enumerate(rows)}
        parts.append(x[torch.tensor([place[row] for row in kept], dtype=torch.long)])
    return torch.cat(parts, dim=1), kept
