"""How few samples choose, by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from xm import Context, Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers, clearly_best, likeliest_scale, mean_of_best

GOOD = torch.eye(2).flip(0)
"""Right for all of val (`context`), but for items that are made wrong."""
HALF = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
"""Right for the two of class 0."""


def context(wrong: int = 0, val: bool = True) -> Context:
    """Four val items, two a class; the first `wrong` of them lie where the other class is."""
    x = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    x[:wrong] = torch.tensor([1.0, 0.0])
    stream = Stream("image", {EMBEDDING: x}, torch.tensor([0, 0, 1, 1]))
    towers = Towers({"image": Tower(Tail())})
    known = stream if val else None
    return Context(classes=("a", "b"), target="image", dim=2, towers=towers, train={}, val=known, named=frozenset())


def head(here: Context, weight: torch.Tensor, **chosen: object) -> LinearClassifier:
    made = LinearClassifier(here.towers, weight)
    made.chosen |= chosen
    return made


def test_of_heads_that_val_calls_equal_the_mean_is_taken() -> None:
    here = context()
    heads = [
        head(here, HALF, penalty=1.0, pull="zero"),
        head(here, GOOD, penalty=0.1, pull="zero"),
        head(here, HALF, penalty=9.0, pull="zero"),
        head(here, 3 * GOOD, penalty=0.01, pull="zero"),
    ]
    mean = mean_of_best(iter(heads), here)
    torch.testing.assert_close(mean.weight.detach(), 2 * GOOD)
    assert mean.chosen == {"penalty": [0.1, 0.01], "pull": "zero", "heads": 2}


def test_a_head_that_beats_all_others_is_alone() -> None:
    here = context()
    mean = mean_of_best([head(here, GOOD, penalty=0.1), head(here, HALF)], here)
    assert torch.equal(mean.weight, GOOD)
    assert mean.chosen == {"penalty": 0.1}


def test_with_no_val_it_is_the_mean_of_all() -> None:
    here = context(val=False)
    mean = mean_of_best([head(here, GOOD), head(here, HALF)], here)
    assert torch.equal(mean.weight, (GOOD + HALF) / 2)


@pytest.mark.parametrize(("wrong", "clear"), [(0, True), (1, False)])
def test_the_safe_one_stays_unless_another_is_clearly_better(wrong: int, clear: bool) -> None:
    """By hand: of 4 val items it gets 2 right, 0.5 with a standard error of 0.25; the other 4 or 3."""
    here = context(wrong)
    safe, other = head(here, HALF), head(here, GOOD)
    assert clearly_best([safe, other], here) is (other if clear else safe)


def test_with_no_val_the_safe_one_stays() -> None:
    here = context(val=False)
    safe, other = head(here, HALF), head(here, GOOD)
    assert clearly_best([safe, other], here) is safe


def test_what_says_nothing_of_the_scale_leaves_it_at_clips() -> None:
    """The next to 100 of the quarter octaves from 1 is 2^6.75, 107.6; 2^6.5 is 90.5."""
    assert likeliest_scale(torch.zeros(5, 3), torch.tensor([0, 1, 2, 0, 1])) == pytest.approx(107.635, abs=1e-3)


@pytest.mark.parametrize("scale", (4.0, 32.0, 200.0))
def test_the_likeliest_scale_is_that_of_the_labels(scale: float) -> None:
    """Labels drawn from the softmax at a scale."""
    generator = torch.Generator().manual_seed(1)
    names = normalize(torch.randn(5, 16, generator=generator), dim=1)
    cosines = normalize(torch.randn(4000, 16, generator=generator), dim=1) @ names.T
    y = (scale * cosines).softmax(dim=1).multinomial(1, generator=generator)[:, 0]
    assert likeliest_scale(cosines, y) == pytest.approx(scale, rel=0.3)


def test_a_few_samples_move_the_scale_a_little_and_many_to_the_likeliest() -> None:
    """Names that are right three times of four, always by a cosine of 0.2: the likeliest scale is log(3) / 0.2, 5.5."""
    few = torch.tensor([[0.2, 0.0], [0.2, 0.0], [0.2, 0.0], [0.0, 0.2]])
    y = torch.zeros(4, dtype=torch.long)
    assert likeliest_scale(few.repeat(500, 1), y.repeat(500)) == pytest.approx(5.5, rel=0.1)
    scale = likeliest_scale(few, y)
    assert 5.5 < scale < 100
    assert cross_entropy(scale * few, y) > cross_entropy(5.5 * few, y)
