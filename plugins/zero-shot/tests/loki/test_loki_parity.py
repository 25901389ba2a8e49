"""`loki` against the rule of the published code: argmin of the probabilities times the squared distances."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import Stream
from xm.learning import EMBEDDING
from xm_zero_shot.loki.files import tree_distances
from xm_zero_shot.loki.predictor import Loki

CLASSES = tuple(f"leaf {i}" for i in range(30))


class Logits(nn.Module):
    def forward(self, stream: Stream) -> Tensor:
        return stream.x["logits"]


def decided(loki: Loki, logits: Tensor) -> np.ndarray:
    return loki.predict(Logits(), Stream("image", {"logits": logits})).argmax(dim=1).numpy()


def published(logits: Tensor, distances: np.ndarray) -> np.ndarray:
    """A loop over items and classes, in double precision."""
    decisions = []
    for row in logits.double().softmax(dim=1).numpy():
        losses = [sum(p * distances[i, y] ** 2 for i, p in enumerate(row)) for y in range(len(distances))]
        decisions.append(int(np.argmin(losses)))
    return np.array(decisions)


def random_tree(seed: int) -> dict[str, str]:
    """Inner nodes below one another at random, and the classes below them."""
    rng = np.random.default_rng(seed)
    parents = {f"node {i}": f"node {rng.integers(i)}" for i in range(1, 20)}
    return parents | {name: f"node {rng.integers(20)}" for name in CLASSES}


def shortest(parents: dict[str, str]) -> np.ndarray:
    """Breadth first, over edges without direction."""
    near: dict[str, set[str]] = {}
    for child, parent in parents.items():
        near.setdefault(child, set()).add(parent)
        near.setdefault(parent, set()).add(child)
    found = np.zeros((len(CLASSES), len(CLASSES)))
    for i, start in enumerate(CLASSES):
        steps, queue = {start: 0}, deque([start])
        while queue:
            node = queue.popleft()
            for other in near[node] - steps.keys():
                steps[other] = steps[node] + 1
                queue.append(other)
        found[i] = [steps[name] for name in CLASSES]
    return found


@pytest.fixture
def logits() -> Tensor:
    return 2 * torch.randn(300, len(CLASSES), generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("seed", (1, 2, 3))
def test_by_a_tree(logits: Tensor, seed: int) -> None:
    distances = shortest(random_tree(seed))
    assert np.array_equal(tree_distances(random_tree(seed), CLASSES), distances)
    loki = Loki()
    loki.tensors = {"distances": torch.from_numpy(distances).float()}
    ours, theirs = decided(loki, logits), published(logits, distances)
    assert np.array_equal(ours, theirs)
    assert (ours != logits.argmax(dim=1).numpy()).mean() > 0.2, "the rule decides as argmax does"


def test_by_names(logits: Tensor) -> None:
    """The squared Euclidean distance of scaled text features, averaged over templates."""
    generator = torch.Generator().manual_seed(8)
    means = torch.randn(len(CLASSES), 6, generator=generator)
    each = normalize(means[:, None] + 0.3 * torch.randn(len(CLASSES), 4, 6, generator=generator), dim=2)
    texts = Stream("text", {EMBEDDING: each.flatten(0, 1)}, torch.arange(len(CLASSES)).repeat_interleave(4))
    weights = each.mean(dim=1).double().numpy()
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    distances = np.array([[np.linalg.norm(one - other) for other in weights] for one in weights])
    loki = Loki()
    loki.tensors = loki.prepare(CLASSES, lambda: texts)
    np.testing.assert_allclose(loki.tensors["distances"].numpy(), distances, atol=1e-5)
    ours, theirs = decided(loki, logits), published(logits, distances)
    assert np.array_equal(ours, theirs)
    assert (ours != logits.argmax(dim=1).numpy()).mean() > 0.1


def test_probabilities_fall_as_the_expected_loss_grows(logits: Tensor) -> None:
    distances = shortest(random_tree(1))
    loki = Loki()
    loki.tensors = {"distances": torch.from_numpy(distances).float()}
    out = loki.predict(Logits(), Stream("image", {"logits": logits})).double().numpy()
    losses = logits.double().softmax(dim=1).numpy() @ distances**2
    closeness = distances.max() ** 2 - losses
    np.testing.assert_allclose(out, closeness / closeness.sum(axis=1, keepdims=True), atol=1e-6)
