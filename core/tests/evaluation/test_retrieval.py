"""Metrics of retrieval, by hand and against torchmetrics."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import xm.evaluation.retrieval
from xm import DataError
from xm.evaluation.retrieval import Retrieval, mean_reciprocal_rank, retrieve


def angles(*degrees: float) -> Tensor:
    """Unit vectors of the plane."""
    radians = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], 1).float()


def random(n: int, seed: int, d: int = 16) -> Tensor:
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_pairs_by_hand() -> None:
    # The query at 0 degrees has its own (60) behind those at 10 and 45: rank 3; that at 12 is nearest to its own;
    # that at 90 has 45 behind 60: rank 2.
    found = retrieve(angles(0, 12, 90), angles(60, 10, 45))
    expected = 1 - (math.cos(math.radians(60)) + math.cos(math.radians(2)) + math.cos(math.radians(45))) / 3
    assert found.r1 == pytest.approx(1 / 3)
    assert (found.r5, found.r10, found.median_rank, found.n) == (1, 1, 2, 3)
    assert found.cosine == pytest.approx(expected, abs=1e-6)


def test_the_directions_differ() -> None:
    # From the other side: 60 has 90 (30 degrees off), 12 (48) and its own, 0 (60), third; 10 its own first; 45 has 12
    # (33) before 0 and its own, which tie at 45: third.
    found = retrieve(angles(60, 10, 45), angles(0, 12, 90))
    assert found.r1 == pytest.approx(1 / 3)
    assert found.median_rank == 3


def test_the_median_of_an_even_number_of_ranks_is_between_two() -> None:
    assert retrieve(angles(0, 12), angles(60, 10)).median_rank == 1.5  # ranks 2 and 1


def test_of_several_relevant_ones_the_best_counts() -> None:
    # The query at 0 (a): 10 is a: rank 1. That at 50 (b): 45 (a) is nearest, then 60 (b): rank 2.
    found = retrieve(angles(0, 50), angles(10, 45, 60), ["a", "b"], ["a", "a", "b"])
    degrees = (10, 45, 10)
    ten, half, ten_too = (1 - math.cos(math.radians(d)) for d in degrees)
    assert (found.r1, found.median_rank) == (0.5, 1.5)
    assert found.cosine == pytest.approx(((ten + half) / 2 + ten_too) / 2, abs=1e-6)


def test_ties_count_against_the_query() -> None:
    alike = angles(*[30] * 20)
    found = retrieve(alike, alike)
    assert found == Retrieval(0, 0, 0, 20, pytest.approx(0, abs=1e-6), 20)
    assert retrieve(alike, alike, [0] * 20).r1 == 1  # but not those that are relevant themselves


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = random(50, 0), random(70, 1)
    group = torch.arange(50) % 7
    whole = retrieve(source, target, group, torch.arange(70) % 7)
    monkeypatch.setattr(xm.evaluation.retrieval, "CELLS", 200)
    chunked = retrieve(source, target, group, torch.arange(70) % 7)
    assert chunked.to_json() == pytest.approx(whole.to_json())


@pytest.mark.parametrize("groups", [None, 9])
def test_it_is_torchmetrics(groups: int | None) -> None:
    """R@k is its hit rate, a rank one over its reciprocal rank. It takes what scores 0 or less for irrelevant."""
    metrics = pytest.importorskip("torchmetrics.retrieval")
    n = 41
    source, target = random(n, 2), random(n, 3)
    group = torch.arange(n) if groups is None else torch.arange(n) % groups
    found = retrieve(source, target, None if groups is None else group)
    relevant = (group[:, None] == group).flatten()
    cosines = source @ target.T
    scores, query = (1 + cosines).flatten(), torch.arange(n).repeat_interleave(n)
    for k, value in ((1, found.r1), (5, found.r5), (10, found.r10)):
        assert float(metrics.RetrievalHitRate(top_k=k)(scores, relevant, indexes=query)) == pytest.approx(value)
    one = torch.zeros(n, dtype=torch.long)
    reciprocal = torch.stack([metrics.RetrievalMRR()(1 + cosines[i], group[i] == group, one) for i in range(n)])
    assert float((1 / reciprocal).median()) == pytest.approx(found.median_rank)


def test_length_does_not_matter_and_it_is_json() -> None:
    source, target = random(5, 4), random(5, 5)
    found = retrieve(source, target)
    assert retrieve(3 * source, 0.1 * target).cosine == pytest.approx(found.cosine, abs=1e-6)
    assert json.loads(json.dumps(found.to_json()))["n"] == 5


@pytest.mark.parametrize(
    ("source", "target", "groups", "said"),
    [
        (angles(0, 1), angles(0), (), "2 pairs: a row of the source for 1 rows of the target"),
        (angles(0, 1), angles(0, 1), (["a"],), "1 groups for 2 rows of the source"),
        (angles(0, 1), angles(0, 1), (["a", "b"], ["a", "a"]), "no row of the target is of group 'b', of row 1"),
        (angles(0), angles(0), (None, ["a"]), "groups of targets need groups of sources too"),
        (angles(0), torch.ones(1, 3), (), "(n, d) and (m, d) were expected, not (1, 2) and (1, 3)"),
        (torch.ones(0, 2), torch.ones(0, 2), (), "no rows"),
        (angles(0), torch.tensor([[math.nan, 1]]), (), "row 0 of the target is zero or not finite"),
        (torch.zeros(1, 2), angles(0), (), "row 0 of the source is zero or not finite"),
    ],
)
def test_what_does_not_fit_is_refused(source: Tensor, target: Tensor, groups: tuple[object, ...], said: str) -> None:
    with pytest.raises(DataError) as error:
        retrieve(source, target, *groups)  # type: ignore[arg-type]
    assert said in str(error.value)


def test_mean_reciprocal_rank_by_hand() -> None:
    source = torch.tensor([[0.6, 0.8], [1.0, 0.0], [-1.0, 0.0]])
    target = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    # the first two have each other's partner first: ranks 2, 2, 1, both ways
    assert mean_reciprocal_rank(source, target) == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert mean_reciprocal_rank(source, target, torch.tensor([4, 4, 0])) == 1.0
    alike = source[:1].expand(3, 2)
    assert mean_reciprocal_rank(alike, alike) == pytest.approx(1 / 3), "ties count against it"
