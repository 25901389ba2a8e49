"""Task draws: classes for meta-training and for the test, and whose recordings belong to which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Stream
from xm_aligners.croma.features import Featured, Side
from xm_aligners.croma.reptile import number
from xm_aligners.croma.tasks import FEATURES, SOURCE, TARGET, Groups, MetaData

TESTED = {"sound": 2, "digit": 3}
"""Classes of each kind that are kept for the test: a task of five ways."""

HELD = {"sound": 2, "digit": 2}
"""Groups of each kind that only queries come from: folds of five, speakers of six."""


@dataclass(frozen=True)
class Draw:
    """What one seed gives.

    Attributes:
        data: of the classes for meta-training.
        pool: of the test classes, by label 0..ways-1: what supports are drawn from.
        query: what is tested; of other folds and speakers than `pool` and `data`.
        seen: the source's items of the test classes, labelled alike; for retrieval alone.
        others: the target's items of the other classes, of the query's folds and speakers, under labels of their own;
            for retrieval alone.
        tested: the test classes, in words.
    """

    data: MetaData
    pool: Stream
    query: Stream
    seen: Stream
    others: Stream
    tested: tuple[str, ...]

    @property
    def ways(self) -> int:
        """Classes of the test task."""
        return len(self.tested)

    def supports(self, shots: int, times: int, seed: int) -> Iterator[Stream]:
        """`times` draws of `shots` samples of each test class."""
        y = self.pool.labels
        for i in range(times):
            generator = torch.Generator().manual_seed(number(seed, shots, i, "support"))
            rows = [
                own[torch.randperm(len(own), generator=generator)[:shots]]
                for label in range(self.ways)
                if len(own := (y == label).nonzero()[:, 0])
            ]
            yield self.pool[torch.cat(rows)]


def draw(
    featured: Featured, seed: int, *, per_class: int = 60, pairing: str = "weak", wrong: float = 0.0, dims: int = 128
) -> Draw:
    """Classes, groups and pairs of a seed.

    Args:
        featured: the world.
        seed: of all draws.
        per_class: pairs of each class for meta-training.
        pairing: "weak": items of a class belong together crosswise; "strong": each pair stands for itself.
        wrong: share of the pairs whose target item is of another class than the source item.
        dims: principal components that are kept of each side; 0 keeps the features as they are.
    """
    world = featured.world
    generator = torch.Generator().manual_seed(number(seed, "classes"))
    tested: list[int] = []
    held: set[str] = set()
    for kind, count in TESTED.items():
        of_kind = [i for i, found in enumerate(world.kinds) if found == kind]
        tested += [of_kind[i] for i in torch.randperm(len(of_kind), generator=generator)[:count].tolist()]
        heard = zip(featured.heard.y.tolist(), featured.heard.group, strict=True)
        groups = sorted({group for label, group in heard if world.kinds[label] == kind})
        held |= {groups[i] for i in torch.randperm(len(groups), generator=generator)[: HELD[kind]].tolist()}
    new = torch.tensor(tested)
    away = torch.tensor([group in held for group in featured.heard.group])
    y, seen = featured.heard.y, featured.seen
    is_new = torch.isin(y, new)
    train = (~is_new & ~away).nonzero()[:, 0]
    source_rows = (~torch.isin(seen.y, new)).nonzero()[:, 0]
    source_x = Reduced(seen, source_rows, dims)
    target_x = Reduced(featured.heard, train, dims)
    source = Stream(world.source, {FEATURES: source_x(source_rows)}, seen.y[source_rows])
    pairs = _pairs(source, Stream(world.target, {FEATURES: target_x(train)}, y[train]), per_class, wrong, generator)
    relabel = {label: i for i, label in enumerate(tested)}

    def of(modality: str, x: Reduced, classes: Tensor, rows: Tensor) -> Stream:
        labels = [relabel.get(label, len(tested) + label) for label in classes[rows].tolist()]
        return Stream(modality, {FEATURES: x(rows)}, torch.tensor(labels))

    return Draw(
        MetaData(source, pairs, pairing == "weak", Stream(world.target, {FEATURES: pairs.x[TARGET]}), pairs.y),
        of(world.target, target_x, y, (is_new & ~away).nonzero()[:, 0]),
        of(world.target, target_x, y, (is_new & away).nonzero()[:, 0]),
        of(world.source, source_x, seen.y, torch.isin(seen.y, new).nonzero()[:, 0]),
        of(world.target, target_x, y, (~is_new & away).nonzero()[:, 0]),
        tuple(world.classes[i] for i in tested),
    )


class Reduced:
    """A side's principal components, fitted on some of its rows without their labels; vectors of unit length."""

    def __init__(self, side: Side, rows: Tensor, dims: int) -> None:
        x = side.x
        mean = x[rows].mean(dim=0)
        x = x - mean
        if 0 < dims < x.shape[1]:
            basis = torch.linalg.svd(x[rows], full_matrices=False).Vh[:dims]
            x = x @ basis.T
        self.x = normalize(x, dim=1)

    def __call__(self, rows: Tensor) -> Tensor:
        return self.x[rows]


def _pairs(source: Stream, target: Stream, per_class: int, wrong: float, generator: torch.Generator) -> Stream:
    """Fixed draws of pairs: for each class, target items in turn, each with a source item drawn at random.

    The labels are the source's, which the target item of a wrong pair is not of.
    """
    seen, heard = Groups(source.labels), Groups(target.labels)
    classes = len(seen.rows)
    left, right = [], []
    for label, (own, partners) in enumerate(zip(seen.rows, heard.rows, strict=True)):
        turn = partners[torch.randperm(len(partners), generator=generator)]
        astray = torch.randperm(per_class, generator=generator) < round(wrong * per_class)
        other = (label + torch.randint(1, classes, (per_class,), generator=generator)) % classes
        for i in range(per_class):
            items = heard.rows[int(other[i])] if astray[i] else turn[i % len(turn)][None]
            left.append(_any(own, generator))
            right.append(_any(items, generator))
    rows, partner_rows = torch.tensor(left), torch.tensor(right)
    x = {SOURCE: source.x[FEATURES][rows], TARGET: target.x[FEATURES][partner_rows]}
    return Stream("pairs", x, source.labels[rows])


def _any(rows: Tensor, generator: torch.Generator) -> int:
    return int(rows[torch.randint(len(rows), (1,), generator=generator)])
