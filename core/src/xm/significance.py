"""Paired comparisons: whether one cell is better than another, on the same test items and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xm.report import Comparison, Result

RESAMPLES = 2000


def with_the_target_alone(results: Sequence[Result], hits: Mapping[str, NDArray[np.bool_]]) -> Iterator[Comparison]:
    """Every cell with auxiliary modalities against the same strategy and shots without.

    Args:
        results: of a run.
        hits: whether each test item was right, by a result's `model`.
    """
    alone = {(r.strategy, r.shots, r.seed): hits[r.model] for r in results if not r.aux and r.shots}
    cells: dict[tuple[str, tuple[str, ...], int], dict[int, NDArray[np.bool_]]] = {}
    for r in results:
        if r.aux and (r.strategy, r.shots, r.seed) in alone:
            cells.setdefault((r.strategy, r.aux, r.shots), {})[r.seed] = hits[r.model]
    for (strategy, aux, shots), found in cells.items():
        pairs = [(one, alone[strategy, shots, seed]) for seed, one in found.items()]
        yield compare(pairs, strategy=strategy, aux=aux, against=strategy, against_aux=(), shots=shots)


def compare(
    pairs: Iterable[tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    *,
    strategy: str,
    aux: tuple[str, ...],
    against: str,
    against_aux: tuple[str, ...],
    shots: int,
) -> Comparison:
    """One cell against another; a pair for each seed: which test items each of the two had right.

    Seeds and items are both resampled (a bootstrap of two levels), since both the draw and the test set are a sample.
    Where all seeds have a test set of one size it is taken for the same, and its items are drawn jointly.
    """
    from scipy.stats import binomtest

    seen = [(one.astype(int), other.astype(int)) for one, other in pairs]
    differences = [one - other for one, other in seen]
    means = _resampled(differences)
    below, above = float((means <= 0).mean()), float((means >= 0).mean())
    gained, lost = (sum(int((d == sign).sum()) for d in differences) for sign in (1, -1))
    low, high = np.quantile(means, (0.025, 0.975))
    return Comparison(
        strategy=strategy,
        aux=aux,
        against=against,
        against_aux=against_aux,
        shots=shots,
        difference=float(np.mean([d.mean() for d in differences])),
        low=float(low),
        high=float(high),
        p=min(1.0, max(2 * min(below, above), 1 / (RESAMPLES + 1))),
        mcnemar=float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
        seeds=len(differences),
    )


def _resampled(differences: Sequence[NDArray[np.int_]]) -> NDArray[np.float64]:
    """Means of (RESAMPLES,) draws with replacement, of seeds and of items."""
    rng = np.random.default_rng(0)
    together = len({len(d) for d in differences}) == 1
    by_seed = np.empty((RESAMPLES, len(differences)))
    for i in range(RESAMPLES):
        rows = rng.integers(len(differences[0]), size=len(differences[0])) if together else None
        for j, d in enumerate(differences):
            by_seed[i, j] = d[rng.integers(len(d), size=len(d)) if rows is None else rows].mean()
    seeds = rng.integers(len(differences), size=by_seed.shape)
    means: NDArray[np.float64] = np.take_along_axis(by_seed, seeds, axis=1).mean(axis=1)
    return means
