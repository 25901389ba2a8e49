"""The graph and what spreads over it: plain loops in double precision, and scikit-learn's `LabelSpreading`.

The loops follow yanweifu/embedding_zero-shot-learning (8827330), ``internal/random_walk``, derived anew, for one view;
a class's row has items alone for neighbours, which is ours.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.semi_supervised import LabelSpreading

from xm import Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers
from xm_unlabelled.label_propagation.graph import affinity, propagated, smoothed
from xm_unlabelled.label_propagation.predictor import LabelPropagation

COUNT, CLASSES, DIM = 70, 4, 9
Array = NDArray[np.float64]
RNG = np.random.default_rng(7)
ROWS: Array = RNG.normal(size=(CLASSES, DIM))
ITEMS: Array = ROWS[RNG.integers(0, CLASSES, COUNT)] + 1.2 * RNG.normal(size=(COUNT, DIM))


def graph(k: int) -> Array:
    """W by loops: to its k nearest but itself, symmetrised."""
    nodes = [x / np.sqrt(x @ x) for x in np.concatenate([ITEMS, ROWS])]
    distances = np.array([[(a - b) @ (a - b) for b in nodes] for a in nodes])
    kernel = np.exp(-distances / np.median(distances))
    kept = np.zeros_like(kernel)
    for i, row in enumerate(kernel):
        others = [j for j in range(len(nodes) if i < COUNT else COUNT) if j != i]
        for j in sorted(others, key=lambda j: -row[j])[:k]:
            kept[i, j] = row[j]
    return (kept + kept.T) / 2


def published(weights: Array, alpha: float) -> Array:
    """F of the items by matrix inversion: 2 I - 1 on the rows of the classes."""
    half = np.diag(1 / np.sqrt(weights.sum(axis=1)))
    start = np.concatenate([np.zeros((COUNT, CLASSES)), 2 * np.eye(CLASSES) - 1])
    smooth = np.linalg.inv(np.eye(len(weights)) - alpha * half @ weights @ half)
    out: Array = ((1 - alpha) * smooth @ start)[:COUNT]
    return out


@pytest.mark.parametrize("k", (3, 10))
def test_similarity(k: int) -> None:
    found = affinity(ITEMS, ROWS, k)
    assert abs(found - found.T).max() == 0
    np.testing.assert_allclose(found.toarray(), graph(k), atol=1e-8, rtol=0)


@pytest.mark.parametrize("alpha", (0.25, 0.5, 0.95))
@pytest.mark.parametrize("k", (3, 10))
def test_what_spreads(k: int, alpha: float) -> None:
    ours = propagated(smoothed(affinity(ITEMS, ROWS, k)), CLASSES, alpha)
    theirs = published(graph(k), alpha)
    np.testing.assert_allclose(2 * ours - ours.sum(axis=1, keepdims=True), theirs, atol=1e-8, rtol=0)
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()


@pytest.mark.parametrize("alpha", (0.25, 0.5, 0.95))
def test_probabilities_are_those_of_label_spreading(alpha: float) -> None:
    weights = graph(10)
    labels = np.concatenate([np.full(COUNT, -1), np.arange(CLASSES)])
    theirs = LabelSpreading(kernel=lambda *_: weights, alpha=alpha, max_iter=10_000, tol=1e-13)
    theirs.fit(np.concatenate([ITEMS, ROWS]), labels)
    model = LinearClassifier(Towers({"image": Tower(Tail())}), torch.from_numpy(ROWS))
    inputs = Stream("image", {EMBEDDING: torch.from_numpy(ITEMS)})
    ours = LabelPropagation({"alpha": alpha}).predict(model, inputs)
    np.testing.assert_allclose(ours.numpy(), theirs.label_distributions_[:COUNT], atol=1e-6, rtol=0)
