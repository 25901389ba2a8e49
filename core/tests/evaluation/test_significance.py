"""Paired comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xm.evaluation.report import Comparison, Report, Result
from xm.evaluation.significance import (
    RESAMPLES,
    Hits,
    _resampled,
    compare,
    compare_means,
    with_the_names_alone,
    with_the_target_alone,
)
from xm.foundation.files import read_tensors
from xm.foundation.layout import TESTED

Bits = NDArray[np.bool_]
SMALLEST = 1 / (RESAMPLES + 1)


def hits(right: Sequence[int] | str) -> Bits:
    return np.array([bool(int(r)) for r in right])


def compared(*pairs: tuple[Bits, Bits], first: Sequence[int] = ()) -> Comparison:
    """Of test sets that begin at these items each, or all at 0."""
    starts = first or [0] * len(pairs)
    numbered = [
        (Hits(np.arange(k, k + len(one)), one), Hits(np.arange(k, k + len(one)), other))
        for k, (one, other) in zip(starts, pairs, strict=True)
    ]
    return compare(numbered, strategy="s", aux=("text",), against="t", against_aux=(), shots=4)


def noisy(n: int, better: float, seed: int) -> tuple[Bits, Bits]:
    """Two models on n items: the other is right in half of the cases, the one gains some of its faults."""
    rng = np.random.default_rng(seed)
    other = rng.random(n) < 0.5
    return other | (rng.random(n) < better), other


def test_what_is_said_of_the_two_cells() -> None:
    c = compared((hits("10"), hits("00")), (hits("10"), hits("00")))
    assert (c.strategy, c.aux, c.against, c.against_aux, c.shots, c.seeds) == ("s", ("text",), "t", (), 4, 2)


@pytest.mark.parametrize("seeds", (1, 3))
def test_equal_hits_are_no_difference(seeds: int) -> None:
    same = hits("1101001")
    c = compared(*[(same, same.copy())] * seeds)
    assert (c.difference, c.low, c.high, c.p, c.mcnemar) == (0, 0, 0, 1, 1)


def test_right_everywhere_against_nowhere() -> None:
    c = compared((hits("1" * 9), hits("0" * 9)))
    assert (c.difference, c.low, c.high) == (1, 1, 1)
    assert c.p == pytest.approx(SMALLEST)
    assert c.mcnemar == pytest.approx(2 / 2**9)


def test_a_difference_by_hand() -> None:
    """Of ten items three are gained and none is lost. A draw of ten has none of the three with chance 0.7^10."""
    c = compared((hits("1111111100"), hits("0001111100")))
    assert c.difference == pytest.approx(0.3)
    assert c.mcnemar == pytest.approx(2 * 0.5**3)
    assert c.p == pytest.approx(2 * 0.7**10, abs=0.02)
    assert (c.low, c.high) == pytest.approx((0, 0.6), abs=0.11)


def test_the_other_way_round_it_is_the_other_sign() -> None:
    one, other = noisy(60, 0.3, 1)
    c, back = compared((one, other)), compared((other, one))
    assert (back.difference, back.p, back.mcnemar) == pytest.approx((-c.difference, c.p, c.mcnemar))
    assert (back.low, back.high) == pytest.approx((-c.high, -c.low))


@pytest.mark.parametrize(("gained", "lost"), [(0, 1), (3, 1), (9, 2), (10, 10), (25, 8)])
def test_mcnemar_is_the_exact_binomial(gained: int, lost: int) -> None:
    """Twice the chance of a coin to fall as unevenly, over all seeds together."""
    one = hits("1" * gained + "0" * lost + "10" * 4)
    other = hits("0" * gained + "1" * lost + "10" * 4)
    n = gained + lost
    tail = sum(comb(n, k) for k in range(min(gained, lost) + 1)) / 2**n
    assert compared((one, other)).mcnemar == pytest.approx(min(1, 2 * tail))
    split = len(one) // 2
    parts = ((one[:split], other[:split]), (one[split:], other[split:]))
    assert compared(*parts).mcnemar == pytest.approx(min(1, 2 * tail))


def test_seeds_may_have_test_sets_of_unequal_size() -> None:
    """Each seed counts the same: (1 + 0) / 2. Of two draws of a seed, both are the first with chance 1/4."""
    c = compared((hits("1111"), hits("0000")), (hits("10101010"), hits("10101010")))
    assert (c.difference, c.low, c.high, c.seeds) == (0.5, 0, 1, 2)
    assert c.p == pytest.approx(2 * 0.25, abs=0.06)


def test_an_item_is_drawn_for_all_seeds_that_test_it() -> None:
    """One seed's differences are the other's with the sign turned: where both seeds are drawn, they cancel exactly."""
    d = np.array([1, 0, -1, 1, 0, 0, 1, -1, 0, 1])
    items, differences = np.arange(len(d)), (d, -d)

    def figure(rows: Any, seed: int, counts: Any) -> Any:
        return counts[:, rows[seed]] @ differences[seed] / counts[:, rows[seed]].sum(axis=1).clip(1)

    drawn = np.abs(_resampled([items, items], figure)) < 1e-12
    assert drawn.mean() > 0.45
    apart = np.abs(_resampled([items, items + 10], figure)) < 1e-12
    assert apart.mean() < 0.3


def test_a_mean_of_one_part_is_the_part_and_a_harmonic_mean_is_of_both() -> None:
    items = np.arange(40)
    one, other = Hits(items, hits("1101101011" * 4)), Hits(items, hits("1001001011" * 4))
    third = Hits(items, hits("0" * 20 + "1" * 20))
    named: dict[str, Any] = {"strategy": "a", "aux": (), "against": "b", "against_aux": (), "shots": 1, "split": "test"}
    whole, part = compare([(one, other)], **named), compare_means([((one,), (other,))], lambda found: found[0], **named)
    assert replace(part, low=whole.low, high=whole.high, difference=whole.difference) == whole
    assert (part.difference, part.low, part.high) == pytest.approx((whole.difference, whole.low, whole.high))
    rows = np.arange(20), np.arange(20, 40)
    pair = tuple(tuple(model[part] for part in rows) for model in (one, third))
    found = compare_means(
        [pair, pair], lambda found: 2 / (1 / found.clip(1e-9)).sum(axis=0), **{**named, "split": "test:harmonic"}
    )
    assert found.difference == pytest.approx(0.7) and found.low > 0 and found.seeds == 2
    assert found.split == "test:harmonic"


def test_test_sets_that_several_seeds_share_are_drawn_first() -> None:
    """Two folds of three seeds each, one of which is better throughout: both draws are it with chance 1/4."""
    better, same = (hits("1" * 40), hits("0" * 40)), (hits("10" * 20), hits("10" * 20))
    shared = compared(*[better] * 3, *[same] * 3, first=[0, 0, 0, 40, 40, 40])
    assert shared.p == pytest.approx(2 * 0.25, abs=0.06)
    assert (shared.low, shared.high) == (0, 1)
    own = compared(*[better] * 3, *[same] * 3, first=[0, 40, 80, 120, 160, 200])
    assert own.p == pytest.approx(2 / 2**6, abs=0.03)


def test_runs_of_before_items_were_kept_have_one_test_set() -> None:
    tested = {"label": torch.tensor([1, 2, 0]), "predicted": torch.tensor([1, 0, 0])}
    assert Hits.of(tested).item.tolist() == [0, 1, 2]
    assert Hits.of({**tested, "item": torch.tensor([7, 3, 5])}).item.tolist() == [7, 3, 5]
    assert Hits.of(tested).right.tolist() == [True, False, True]


@pytest.mark.parametrize("better", (0.0, 0.05, 0.3))
@pytest.mark.parametrize("sizes", [(200,), (50, 50, 50), (30, 80)], ids=str)
def test_the_interval_holds_the_difference(better: float, sizes: tuple[int, ...]) -> None:
    pairs = [noisy(n, better, seed) for seed, n in enumerate(sizes)]
    c = compared(*pairs)
    assert c.low <= c.difference <= c.high
    assert c.difference == pytest.approx(np.mean([one.mean() - other.mean() for one, other in pairs]))
    assert SMALLEST <= c.p <= 1 and 0 <= c.mcnemar <= 1
    assert c == compared(*pairs), "the same hits give the same figures"


def test_more_items_make_it_narrower_and_surer() -> None:
    found = [compared(noisy(n, 0.1, 5)) for n in (40, 400, 4000)]
    assert all(few.high - few.low > many.high - many.low for few, many in pairwise(found))
    assert found[-1].low > 0 and found[-1].p == pytest.approx(SMALLEST)


def test_no_effect_is_found_about_as_often_as_promised() -> None:
    """Models that are right at random, at the level of 5 %: of 60 pairs about 3 differ."""
    rng = np.random.default_rng(3)
    clear = [compared((rng.random(150) < 0.7, rng.random(150) < 0.7)).p < 0.05 for _ in range(60)]
    assert sum(clear) <= 9


def test_it_does_not_touch_the_random_state() -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the legacy state is what would leak
    compared(noisy(50, 0.2, 1))
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def result(aux: tuple[str, ...], seed: int, shots: int = 1, strategy: str = "linear") -> Result:
    name = f"{strategy}/{shots}/{seed}/{'+'.join(aux)}"
    return Result("image", aux, strategy, "none", shots, seed, "test", "accuracy", 0.5, 4, model=name)


def test_every_cell_with_others_is_held_against_the_target_alone() -> None:
    results = [result(aux, seed, shots) for aux in ((), ("text",), ("audio",)) for shots in (1, 2) for seed in (1, 2)]
    results += [result(("text",), 1, shots=0, strategy="zero-shot"), result(("text",), 3), result((), 1, 1, "other")]
    right = {r.model: Hits(np.arange(4), hits("1110" if r.aux else "1100")) for r in results}
    found = list(with_the_target_alone(results, right))
    assert [(c.strategy, c.aux, c.shots, c.seeds) for c in found] == [
        ("linear", ("text",), 1, 2),
        ("linear", ("text",), 2, 2),
        ("linear", ("audio",), 1, 2),
        ("linear", ("audio",), 2, 2),
    ]
    assert all(c.difference == 0.25 and (c.against, c.against_aux) == ("linear", ()) for c in found)


def test_every_cell_of_the_strategy_is_held_against_what_needs_no_sample() -> None:
    results = [result(aux, seed, shots) for aux in ((), ("text",)) for shots in (1, 2) for seed in (1, 2)]
    results += [result(("text",), seed, shots=0, strategy="zero-shot") for seed in (1, 2)]
    results += [result((), 1, 1, "other"), result(("text",), 1, shots=0)]
    right = {r.model: Hits(np.arange(4), hits("1110" if r.shots else "1000")) for r in results}
    found = list(with_the_names_alone(results, right, "linear"))
    assert [(c.strategy, c.aux, c.shots, c.against, c.against_aux, c.seeds) for c in found] == [
        ("linear", aux, shots, "zero-shot", ("text",), 2) for aux in ((), ("text",)) for shots in (1, 2)
    ]
    assert all(c.difference == 0.5 for c in found)


def test_each_row_is_held_against_the_baseline_of_its_own_modalities() -> None:
    """The row that has none of its own, of the target alone, against the first."""
    every = (("text",), ("audio",), ("text", "audio"))
    results = [result(aux, 1) for aux in ((), *every)] + [result(aux, 1, 0, "zero-shot") for aux in every]
    right = {r.model: Hits(np.arange(4), hits("1000")) for r in results}
    found = {c.aux: c.against_aux for c in with_the_names_alone(results, right, "linear")}
    assert found == {(): ("text",)} | {aux: aux for aux in every}


def test_a_run_compares_what_its_models_said_of_test(run: Callable[..., Report], table: Path) -> None:
    report = run(aux=("text",), data=str(table), shots=(1, 2), seeds=(1, 2, 3))

    def right(aux: tuple[str, ...], shots: int, seed: int) -> Any:
        [model] = [r.model for r in report.results if (r.aux, r.shots, r.seed) == (aux, shots, seed)]
        tested = read_tensors(Path(report.run) / model / TESTED)
        assert len(tested["item"].unique()) == len(tested["label"])
        return Hits.of(tested)

    alone = [c for c in report.comparisons if c.against == "linear"]
    assert [(c.shots, c.aux, c.seeds) for c in alone] == [(1, ("text",), 3), (2, ("text",), 3)]
    for c in alone:
        pairs = [(right(("text",), c.shots, seed), right((), c.shots, seed)) for seed in (1, 2, 3)]
        again = compare(pairs, strategy="linear", aux=("text",), against="linear", against_aux=(), shots=c.shots)
        assert c == again
        mean = {s.aux: s.mean for s in report.summary if s.shots == c.shots}
        assert c.difference == pytest.approx(mean["text",] - mean[()])
    assert report.to_json()["comparisons"][0]["difference"] == report.comparisons[0].difference
