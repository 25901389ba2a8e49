"""Few-shot retrieval: the source's items of new classes find the target's, after a few pairs of each class."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TypeAlias

import torch
from torch import Tensor

from xm import DataError, PairObjective, Stream, fit
from xm.evaluation import retrieve
from xm_aligners.croma.draws import Draw
from xm_aligners.croma.meta import meta_align
from xm_aligners.croma.model import AlignLoss, MetaModel, fresh, plan
from xm_aligners.croma.reptile import number
from xm_aligners.croma.settings import AdaptConfig, MetaConfig
from xm_aligners.croma.tasks import FEATURES, SOURCE, TARGET, MetaData

MetaAlignment: TypeAlias = Callable[[MetaData, PairObjective, MetaConfig, int], MetaModel]
"""Data, a fresh objective, settings and a seed to a pair of encoders."""


@dataclass(frozen=True)
class Approach:
    """How encoders of a new task come about.

    Attributes:
        start: makes them, from other classes.
        learns: whether they learn from the new classes' few pairs then.
    """

    start: MetaAlignment
    learns: bool = True


def aligned(data: MetaData, objective: PairObjective, config: MetaConfig, seed: int) -> MetaModel:
    """Plain alignment on all pairs: as many steps as CroMA's inner ones, as many pairs a step."""
    model = fresh(data, objective, config, seed)
    steps = plan("pairs", config.align_ways * config.shots, config.steps, config.align_lr, seed)
    fit(model, AlignLoss(data.crosswise), {"pairs": data.pairs}, steps)
    return model


def meta_aligned(data: MetaData, objective: PairObjective, config: MetaConfig, seed: int) -> MetaModel:
    """Algorithm 1."""
    return meta_align(data, objective, config, seed=seed)


APPROACHES: Mapping[str, Approach] = {
    "no-align": Approach(fresh, learns=False),
    "align-few": Approach(fresh),
    "align": Approach(aligned),
    "croma": Approach(meta_aligned),
}
"""By name. Untrained encoders; the same, aligned on the few pairs; plainly aligned ones; meta-aligned ones."""


@dataclass(frozen=True)
class Task:
    """A retrieval task: `pairs` are learned from; `query` are the source's items, which look for the target's.

    Attributes:
        pairs: ``source`` and ``target``, with classes.
        query: of other source items than the pairs.
        gallery: the target's items by gallery's name, of other folds and speakers than the pairs. "new": of the test
            classes; "all": of the classes of meta-training too.
    """

    pairs: Stream
    query: Stream
    gallery: Mapping[str, Stream]


def tasks(drawn: Draw, shots: int, times: int, seed: int) -> Iterator[Task]:
    """`times` draws of `shots` pairs of each test class; of 0, one.

    Half of a class's source items, by the seed, may be in pairs; the others are the queries, for all numbers of shots.

    Raises:
        DataError: if a class has too few items on a side.
    """
    generator = torch.Generator().manual_seed(number(seed, "queries"))
    left: list[Tensor] = []
    query: list[Tensor] = []
    for label in range(drawn.ways):
        own = _of(drawn.seen, label)
        own = own[torch.randperm(len(own), generator=generator)]
        left.append(own[: len(own) // 2])
        query.append(own[len(own) // 2 :])
    right = [_of(drawn.pool, label) for label in range(drawn.ways)]
    for label, name in enumerate(drawn.tested):
        most = min(len(left[label]), len(right[label]))
        if shots > most:
            raise DataError(f"shots: {shots} pairs of class {name!r} were asked for, and {most} are there at most")
    both = (drawn.query, drawn.others)
    x, y = torch.cat([one.x[FEATURES] for one in both]), torch.cat([one.labels for one in both])
    gallery = {"new": drawn.query, "all": Stream(drawn.query.modality, {FEATURES: x}, y)}
    labels = torch.arange(drawn.ways).repeat_interleave(shots)
    for i in range(times if shots else 1):
        generator = torch.Generator().manual_seed(number(seed, shots, i, "pairs"))
        sides = {}
        for side, stream, rows in ((SOURCE, drawn.seen, left), (TARGET, drawn.pool, right)):
            chosen = [own[torch.randperm(len(own), generator=generator)[:shots]] for own in rows]
            sides[side] = stream.x[FEATURES][torch.cat(chosen)]
        yield Task(Stream("pairs", sides, labels), drawn.seen[torch.cat(query)], gallery)


def learned(start: MetaModel, pairs: Stream, config: AdaptConfig, crosswise: bool, seed: int) -> MetaModel:
    """Both encoders after `adapt_steps` gradient steps of the alignment loss, each on all of the few pairs.

    Args:
        start: is left as it is.
        pairs: ``source`` and ``target``, with classes.
        config: the schedule.
        crosswise: whether pairs of one class belong together crosswise.
        seed: of the loop.
    """
    model = copy.deepcopy(start)
    steps = plan("pairs", len(pairs), config.adapt_steps, config.adapt_lr, seed)
    fit(model, AlignLoss(crosswise), {"pairs": pairs}, steps)
    return model


def metrics(model: MetaModel, task: Task) -> dict[str, dict[str, float]]:
    """Of queries that look for any item of their class, by gallery.

    ``r1``, ``r5``, ``r10``, ``median_rank`` and ``cosine``: `xm.evaluation.Retrieval` explains them.
    """
    found = {}
    with torch.no_grad():
        query = model.source(task.query.x[FEATURES])
        for name, gallery in task.gallery.items():
            given = model.target(gallery.x[FEATURES]), task.query.labels, gallery.labels
            found[name] = {
                metric: value for metric, value in retrieve(query, *given).to_json().items() if metric != "n"
            }
    return found


def measured(
    approach: Approach, start: MetaModel, drawn: Draw, shots: int, times: int, config: AdaptConfig, seed: int
) -> dict[str, dict[str, float]]:
    """The mean of `metrics` over draws of pairs."""
    found = []
    for task in tasks(drawn, shots, times, seed):
        learns = approach.learns and shots > 0
        ready = learned(start, task.pairs, config, drawn.data.crosswise, seed) if learns else start
        found.append(metrics(ready, task))
    return {name: {key: fmean(one[name][key] for one in found) for key in own} for name, own in found[0].items()}


def _of(stream: Stream, label: int) -> Tensor:
    """Rows of a class."""
    return (stream.labels == label).nonzero()[:, 0]
