"""How well vectors of one modality find what belongs to them among vectors of another.

The metrics of few-shot cross-modal retrieval (Liang et al., "Cross-Modal Generalization", ACM MM 2021).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm.foundation.errors import DataError

TIE = 1e-6
"""Cosines that differ by no more than this are equal: what float32 can't tell apart."""

CELLS = 1 << 22
"""Cosines computed at a time."""


@dataclass(frozen=True)
class Retrieval:
    """Metrics of queries that each rank all candidates by cosine, highest first.

    Attributes:
        r1: share of the queries with a relevant candidate at rank 1.
        r5: at rank 5 or better.
        r10: at rank 10 or better.
        median_rank: of the best relevant candidate, 1 being first; between two ranks, their mean.
        cosine: mean cosine distance, 1 - cosine, of queries to their relevant candidates; 0 is best.
        n: number of queries.
    """

    r1: float
    r5: float
    r10: float
    median_rank: float
    cosine: float
    n: int

    def to_json(self) -> dict[str, float]:
        """Plain values, by name."""
        return asdict(self)


def retrieve(
    source: Tensor,
    target: Tensor,
    group: Sequence[Hashable] | Tensor | None = None,
    target_group: Sequence[Hashable] | Tensor | None = None,
) -> Retrieval:
    """Rank the rows of `target` for every row of `source`. For the other direction, exchange the two.

    A query's rank is that of its best relevant candidate: 1 + the irrelevant ones whose cosine is as high or
    higher. So ties count against the query (vectors that are all alike have the worst rank), and other relevant
    candidates do not. `cosine` is the mean over a query's relevant candidates, then over queries.

    Args:
        source: (n, d), the queries; any length but zero.
        target: (m, d), the candidates, on the same device.
        group: of each source row, in any hashable values: relevant are the targets of an equal group. None: row
            i of the target is relevant to row i of the source, and nothing else is.
        target_group: of each target row; None where it is `group`.

    Raises:
        DataError: if sizes do not fit, a value is not finite, a row is zero, or nothing is relevant to a row.
    """
    sources, targets = _groups(source, target, group, target_group)
    queries, candidates = _unit("source", source), _unit("target", target)
    ranks, distances = [], []
    step = max(1, CELLS // len(candidates))
    for start in range(0, len(queries), step):
        cosines = queries[start : start + step] @ candidates.T
        relevant = sources[start : start + step, None] == targets
        best = cosines.masked_fill(~relevant, -torch.inf).amax(1, keepdim=True)
        ranks.append(((cosines >= best - TIE) & ~relevant).sum(1) + 1)
        distances.append(1 - (cosines * relevant).sum(1, dtype=torch.float64) / relevant.sum(1))
    rank = torch.cat(ranks).cpu().numpy()
    r1, r5, r10 = (float(np.mean(rank <= k)) for k in (1, 5, 10))
    return Retrieval(
        r1=r1,
        r5=r5,
        r10=r10,
        median_rank=float(np.median(rank)),
        cosine=max(0.0, float(torch.cat(distances).mean())),
        n=len(rank),
    )


def mean_reciprocal_rank(source: Tensor, target: Tensor, group: Tensor | None = None) -> float:
    """Of each vector's own partner, or the nearest of its group, among all of the other side; the mean of both ways.

    Wrong ones that are as near count against it. This is for choosing settings: it tells small differences apart.

    Args:
        source: (n, dim), unit vectors.
        target: (n, dim), unit vectors; row i belongs to row i of `source`.
        group: (n,), or None.
    """
    own = torch.arange(len(source), device=source.device) if group is None else group
    same = own[:, None] == own
    ranks = []
    for cosines in (source @ target.T, target @ source.T):
        best = cosines.masked_fill(~same, -torch.inf).amax(dim=1, keepdim=True)
        ranks.append(1 + ((cosines >= best) & ~same).sum(dim=1))
    return float((1 / torch.cat(ranks).double()).mean())


def _groups(
    source: Tensor,
    target: Tensor,
    group: Sequence[Hashable] | Tensor | None,
    target_group: Sequence[Hashable] | Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The groups of both sides as numbers, (n,) and (m,)."""
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1]:
        raise DataError(f"retrieval: (n, d) and (m, d) were expected, not {_shape(source)} and {_shape(target)}")
    if not len(source) or not len(target):
        raise DataError("retrieval: no rows")
    if group is None and target_group is not None:
        raise DataError("retrieval: groups of targets need groups of sources too")
    left = _plain(range(len(source)) if group is None else group)
    right = left if target_group is None else _plain(target_group)
    for rows, found, side in ((source, left, "source"), (target, right, "target")):
        if len(rows) != len(found):
            what = "pairs: a row of the source" if group is None else "groups"
            raise DataError(f"retrieval: {len(found)} {what} for {len(rows)} rows of the {side}")
    numbers = {value: i for i, value in enumerate(dict.fromkeys(right))}
    lonely = next((i for i, value in enumerate(left) if value not in numbers), None)
    if lonely is not None:
        raise DataError(f"retrieval: no row of the target is of group {left[lonely]!r}, of row {lonely} of the source")
    device = source.device
    return (
        torch.tensor([numbers[value] for value in left], device=device),
        torch.tensor([numbers[value] for value in right], device=device),
    )


def _plain(group: Sequence[Hashable] | Tensor) -> list[Hashable]:
    return group.tolist() if isinstance(group, Tensor) else list(group)


def _shape(x: Tensor) -> str:
    return f"({', '.join(map(str, x.shape))})"


def _unit(side: str, x: Tensor) -> Tensor:
    x = x.detach().float()
    lengths = x.norm(dim=1)
    bad = ~lengths.isfinite() | (lengths == 0)
    if bad.any():
        raise DataError(f"retrieval: row {int(bad.nonzero()[0])} of the {side} is zero or not finite")
    return normalize(x, dim=1)
