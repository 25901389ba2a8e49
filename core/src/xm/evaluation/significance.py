"""Paired comparisons: whether one cell is better than another, on the same test items and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from xm.evaluation.report import Comparison, Result

RESAMPLES = 2000

Rows: TypeAlias = Sequence["NDArray[np.int64]"]
"""For each seed, where the items of its test set are among those of all."""

Figures: TypeAlias = "NDArray[np.float64]"

BLOCK = 1 << 22
"""How many counts of drawn items are in memory at a time."""


@dataclass(frozen=True)
class Hits:
    """What a model had right of its test set.

    Attributes:
        item: (n,) int64, the test items by numbers that are those of all seeds.
        right: (n,) bool.
    """

    item: NDArray[np.int64]
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, tested: Mapping[str, Tensor]) -> Hits:
        """From ``label``, ``predicted`` and ``item``, (n,) each; runs of before there was ``item``: one test set."""
        right = (tested["label"] == tested["predicted"]).numpy()
        return cls(tested["item"].numpy() if "item" in tested else np.arange(len(right)), right)

    def __getitem__(self, rows: NDArray[np.int64]) -> Hits:
        """Of a part of the test set: its rows (m,)."""
        return Hits(self.item[rows], self.right[rows])


Parts: TypeAlias = Sequence[Hits]
"""What a model had right of each part of test, the same parts in the same order for all."""


def with_the_target_alone(results: Sequence[Result], hits: Mapping[str, Hits]) -> Iterator[Comparison]:
    """Every cell with auxiliary modalities against the same strategy, shots and part of test without.

    Args:
        results: of a run.
        hits: by what a result says was `scored`: its model's folder, and a part of test behind it. A result of which
            there are none, a mean of others, is not compared.
    """
    alone = {(r.strategy, r.shots, r.split, r.seed): r for r in results if not r.aux and r.shots and r.scored in hits}
    yield from _against(results, hits, lambda r: alone.get((r.strategy, r.shots, r.split, r.seed)) if r.aux else None)


def with_the_names_alone(results: Sequence[Result], hits: Mapping[str, Hits], strategy: str) -> Iterator[Comparison]:
    """Every cell of a strategy that had samples, against a baseline that had none (0 shots), such as zero-shot.

    That is the baseline's row of the same auxiliary modalities, or its first where it has no such row.

    Args:
        results: of a run.
        hits: by what a result says was `scored`, as in `with_the_target_alone`.
        strategy: whose cells.
    """
    free: dict[tuple[str, int], dict[tuple[str, ...], Result]] = {}
    for r in results:
        if not r.shots and r.strategy != strategy and r.scored in hits:
            free.setdefault((r.split, r.seed), {}).setdefault(r.aux, r)

    def baseline(r: Result) -> Result | None:
        rows = free.get((r.split, r.seed), {}) if r.strategy == strategy and r.shots else {}
        return rows.get(r.aux, next(iter(rows.values()), None))

    yield from _against(results, hits, baseline)


def _against(
    results: Sequence[Result], hits: Mapping[str, Hits], other: Callable[[Result], Result | None]
) -> Iterator[Comparison]:
    """Cells of those results that have an `other`, against the cell of that; a pair for each seed."""
    cells: dict[tuple[str, tuple[str, ...], str, tuple[str, ...], int, str], list[tuple[Hits, Hits]]] = {}
    for r in results:
        if r.scored in hits and (against := other(r)) is not None:
            cell = (r.strategy, r.aux, against.strategy, against.aux, r.shots, r.split)
            cells.setdefault(cell, []).append((hits[r.scored], hits[against.scored]))
    for (strategy, aux, against_strategy, against_aux, shots, split), pairs in cells.items():
        yield compare(
            pairs,
            strategy=strategy,
            aux=aux,
            against=against_strategy,
            against_aux=against_aux,
            shots=shots,
            split=split,
        )


def compare(
    pairs: Iterable[tuple[Hits, Hits]],
    *,
    strategy: str,
    aux: tuple[str, ...],
    against: str,
    against_aux: tuple[str, ...],
    shots: int,
    split: str = "test",
) -> Comparison:
    """One cell against another; a pair for each seed, of one test set.

    Seeds and items are both resampled (a bootstrap of two levels), since both the draw and the test set are a sample.
    An item that is in the test sets of several seeds is drawn for all of them. Where seeds share test sets, as folds
    that take turns do, these are drawn first, and then seeds of each.
    """
    seen = [(one.item, one.right.astype(int) - other.right.astype(int)) for one, other in pairs]

    def drawn(rows: Rows, seed: int, counts: Figures) -> Figures:
        of = counts[:, rows[seed]]
        found: Figures = (of @ seen[seed][1]) / of.sum(axis=1).clip(1)
        return found

    return _compared(
        Comparison(strategy, aux, against, against_aux, shots, 0.0, 0.0, 0.0, 1.0, 1.0, len(seen), split),
        [d.mean() for _, d in seen],
        _resampled([item for item, _ in seen], drawn),
        [d for _, d in seen],
    )


def compare_means(
    pairs: Iterable[tuple[Parts, Parts]],
    mean: Callable[[Figures], Figures],
    *,
    strategy: str,
    aux: tuple[str, ...],
    against: str,
    against_aux: tuple[str, ...],
    shots: int,
    split: str,
) -> Comparison:
    """As `compare`, of a mean of the accuracies on several parts of test, such as the harmonic one.

    Args:
        pairs: for each seed what both models had right, part by part. Items of different parts have different numbers.
        mean: of accuracies (parts, k), 0..1, over the parts: (k,). McNemar's test is on the items of all parts.
        strategy: of one cell.
        aux: its auxiliary modalities.
        against: strategy of the other.
        against_aux: its auxiliary modalities.
        shots: of both.
        split: what the mean is called.
    """
    seen = [
        [(a.item, a.right.astype(float), b.right.astype(float)) for a, b in zip(*pair, strict=True)] for pair in pairs
    ]
    ends = [np.cumsum([len(item) for item, _, _ in parts])[:-1] for parts in seen]

    def drawn(rows: Rows, seed: int, counts: Figures) -> Figures:
        ours, theirs = [], []
        for of, (_, one, other) in zip(np.split(counts[:, rows[seed]], ends[seed], axis=1), seen[seed], strict=True):
            n = of.sum(axis=1).clip(1)
            ours.append((of @ one) / n)
            theirs.append((of @ other) / n)
        return mean(np.stack(ours)) - mean(np.stack(theirs))

    def whole(parts: Sequence[NDArray[np.float64]]) -> float:
        return float(mean(np.array([[part.mean()] for part in parts]))[0])

    return _compared(
        Comparison(strategy, aux, against, against_aux, shots, 0.0, 0.0, 0.0, 1.0, 1.0, len(seen), split),
        [whole([a for _, a, _ in parts]) - whole([b for _, _, b in parts]) for parts in seen],
        _resampled([np.concatenate([item for item, _, _ in parts]) for parts in seen], drawn),
        [np.concatenate([a - b for _, a, b in parts]) for parts in seen],
    )


def _compared(
    cell: Comparison,
    differences: Sequence[float],
    means: NDArray[np.float64],
    items: Sequence[NDArray[Any]],
) -> Comparison:
    """A comparison with its figures.

    Args:
        cell: what is compared.
        differences: of each seed.
        means: over seeds, (RESAMPLES,), of resampled seeds and items.
        items: for each seed how much better one model was on each item, -1, 0 or 1.
    """
    from scipy.stats import binomtest

    below, above = float((means <= 0).mean()), float((means >= 0).mean())
    gained, lost = (sum(int((d == sign).sum()) for d in items) for sign in (1, -1))
    low, high = np.quantile(means, (0.025, 0.975))
    return replace(
        cell,
        difference=float(np.mean(differences)),
        low=float(low),
        high=float(high),
        p=min(1.0, max(2 * min(below, above), 1 / (RESAMPLES + 1))),
        mcnemar=float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
    )


def _resampled(
    test_sets: Sequence[NDArray[np.int64]], drawn: Callable[[Rows, int, Figures], Figures]
) -> NDArray[np.float64]:
    """Means of (RESAMPLES,) draws with replacement, of test sets, seeds and items.

    Args:
        test_sets: the items of each seed.
        drawn: the differences (k,) of a seed: by where its items are among all, and how often each of all was drawn,
            (k, items).
    """
    rng = np.random.default_rng(0)
    items, places = np.unique(np.concatenate(test_sets), return_inverse=True)
    rows = np.split(places, np.cumsum([len(item) for item in test_sets])[:-1])
    by_seed = np.empty((RESAMPLES, len(test_sets)))
    size = max(1, BLOCK // len(items))
    for first in range(0, RESAMPLES, size):
        draws = range(first, min(first + size, RESAMPLES))
        times = (rng.integers(len(items), size=len(items)) for _ in draws)
        counts = np.stack([np.bincount(one, minlength=len(items)) for one in times]).astype(float)
        for j in range(len(test_sets)):
            by_seed[draws.start : draws.stop, j] = drawn(rows, j, counts)
    seeds = _seeds([item.tobytes() for item in test_sets], rng)
    means: NDArray[np.float64] = np.take_along_axis(by_seed, seeds, axis=1).mean(axis=1)
    return means


def _seeds(test_sets: Sequence[bytes], rng: np.random.Generator) -> NDArray[np.int64]:
    """(RESAMPLES, seeds) draws of seeds; of several test sets that have equally many, these first."""
    groups: dict[bytes, list[int]] = {}
    for seed, test_set in enumerate(test_sets):
        groups.setdefault(test_set, []).append(seed)
    members = np.array(list(groups.values())) if len({len(group) for group in groups.values()}) == 1 else None
    if members is None:
        return rng.integers(len(test_sets), size=(RESAMPLES, len(test_sets)))
    sets, size = members.shape
    which = rng.integers(sets, size=(RESAMPLES, sets, 1)) if sets > 1 else np.zeros((RESAMPLES, 1, 1), np.int64)
    found: NDArray[np.int64] = members[which, rng.integers(size, size=(RESAMPLES, sets, size))]
    return found.reshape(RESAMPLES, -1)
