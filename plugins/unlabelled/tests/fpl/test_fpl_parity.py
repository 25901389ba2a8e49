"""`fpl`: the k likeliest items of each class by a plain loop, and the published loss of labels and pseudo-labels.

BatsResearch/menghini-neurips23-code (2094fa5), ``utils/clip_pseudolabels.py`` and
``methods/semi_supervised_learning/textual_fpl.py``, derived anew; of the published leaderboard see docs/methods/fpl.md.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy as mean_loss

from xm import Stream
from xm.learning import EMBEDDING, cross_entropy
from xm_unlabelled.fpl.strategy import FewPseudoLabels, pseudo_labels

GENERATOR = torch.Generator().manual_seed(2)
LOGITS = 4 * torch.randn(60, 7, generator=GENERATOR, dtype=torch.float64)


def by_loop(chances: Tensor, k: int, own: bool) -> list[tuple[int, int]]:
    """(item, label) of each class, the likeliest item first."""
    found = []
    for label in range(chances.shape[1]):
        board = [
            (float(row[label]), item)
            for item, row in enumerate(chances)
            if not own or max(range(len(row)), key=row.__getitem__) == label
        ]
        found += [(item, label) for _, item in sorted(board, reverse=True)[:k]]
    return found


@pytest.mark.parametrize("own", (False, True))
@pytest.mark.parametrize("k", (1, 5, 12, 60))
def test_selection(k: int, own: bool) -> None:
    items, labels = pseudo_labels(LOGITS.log_softmax(dim=1), k, own=own)
    assert list(zip(items.tolist(), labels.tolist(), strict=True)) == by_loop(LOGITS.softmax(dim=1), k, own)


def test_far_away_classes_have_items_too() -> None:
    """Probabilities of 1e-80, which float32 has not."""
    logits = torch.tensor([[0.0, 200.0], [0.0, 190.0], [0.0, 210.0]])
    items, labels = pseudo_labels(logits.log_softmax(dim=1), 1, own=False)
    assert items[0] == 1 and labels.tolist() == [0, 1]
    items, labels = pseudo_labels(torch.tensor([[0.0, -torch.inf], [-1.0, -torch.inf]]), 2, own=False)
    assert items.tolist() == [0, 1] and labels.tolist() == [0, 0], "a class that can't be gets none"


@pytest.mark.parametrize("gamma", (None, 0.0, 2.5))
def test_loss(gamma: float | None) -> None:
    """Published: the labelled samples' mean loss times pseudo-labels over labels, plus the pseudo-labelled ones'."""
    labels, whole = torch.randint(7, (60,), generator=GENERATOR), 44 / 16 if gamma is None else gamma
    published = whole * mean_loss(LOGITS[:16], labels[:16]) + mean_loss(LOGITS[16:], labels[16:])
    mine, more = (Stream("image", {EMBEDDING: LOGITS[part]}, labels[part]) for part in (slice(16), slice(16, 60)))
    both = FewPseudoLabels({"gamma": gamma}).joined(mine, more)
    assert both.weight is not None
    ours = cross_entropy(both.x[EMBEDDING], both.labels, both.weight)
    torch.testing.assert_close(ours * (1 + whole), published, check_dtype=False, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both.weight.mean(), torch.tensor(1.0))
