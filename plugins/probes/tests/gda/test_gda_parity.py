"""`gda` against the formula of the published code (github.com/mrflogs/ICLR24, main_few_shots.py), written anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from xm import Context, Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, Tower, Towers, adapt
from xm_probes.gda.strategy import GDA

CLASSES, DIM = 5, 24
ALPHAS = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
Array = NDArray[np.float64]


def features(per_class: int, seed: int, modality: str = "image") -> Stream:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(CLASSES).repeat_interleave(per_class)
    x = torch.eye(DIM)[y] + 0.35 * torch.randn(len(y), DIM, generator=generator)
    return Stream(modality, {EMBEDDING: normalize(x, dim=1)}, y)


def published(x: Array, y: NDArray[np.int64]) -> tuple[Array, Array]:
    """W (dim, classes) and b (classes,): pooled residuals, their covariance, a pseudo-inverse, a uniform prior."""
    mu = np.stack([x[y == k].mean(axis=0) for k in range(CLASSES)])
    residuals = np.concatenate([x[y == k] - mu[k] for k in range(CLASSES)])
    cov = np.cov(residuals.T)
    precision = DIM * np.linalg.pinv((len(x) - 1) * cov + np.trace(cov) * np.eye(DIM))
    return precision @ mu.T, np.log(1 / CLASSES) - 0.5 * np.einsum("kd,de,ke->k", mu, precision, mu)


def arrays(stream: Stream) -> tuple[Array, NDArray[np.int64]]:
    assert stream.y is not None
    return stream.x[EMBEDDING].double().numpy(), stream.y.numpy()


def centred(logits: Array) -> Array:
    """What is common to all classes does not count."""
    result: Array = logits - logits.mean(axis=1, keepdims=True)
    return result


def context(shots: int, **more: Any) -> Context:
    return Context(
        classes=tuple("abcde"),
        target="image",
        dim=DIM,
        train={"image": features(shots, 1)},
        named=frozenset(),
        towers=Towers({"image": Tower(Tail())}),
        read_names=lambda: features(1, 3, "text"),
        **{"val": features(6, 2)} | more,
    )


@pytest.mark.parametrize("shots", (2, 4, 16))
@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_logits_are_those_of_the_published_formula(shots: int, alpha: float) -> None:
    """To 1e-4 of the largest logit: 10 samples in 24 dimensions, and 80."""
    here, test = context(shots), features(10, 4)
    (x, y), (inputs, _), (names, _) = arrays(here.train["image"]), arrays(test), arrays(features(1, 3))
    w, b = published(x, y)
    expected = centred(100 * inputs @ names.T + alpha * (inputs @ w + b))
    model = adapt(GDA({"alphas": [alpha]}), here)
    ours = centred(model(test).double().numpy())
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)


def test_val_prefers_what_the_published_search_prefers() -> None:
    """The published search keeps the first alpha of the best accuracy; ours has that accuracy, likelihood decides."""
    here = context(4)
    assert here.val is not None
    (x, y), (inputs, labels), (names, _) = arrays(here.train["image"]), arrays(here.val), arrays(features(1, 3))
    w, b = published(x, y)
    hits = {a: np.mean((100 * inputs @ names.T + a * (inputs @ w + b)).argmax(axis=1) == labels) for a in ALPHAS}
    model = adapt(GDA({"alphas": ALPHAS}), here)
    assert here.accuracy(model) == pytest.approx(max(hits.values()))
    assert hits[float(str(here.record["alpha"]))] == max(hits.values())


def test_at_one_shot_the_published_code_has_zero_shot_left() -> None:
    """Without its ten random crops an image there is no scatter, and pinv(0) is 0. Ours keeps the class means."""
    here, test = context(1), features(10, 4)
    w, b = published(*arrays(here.train["image"]))
    assert not w.any() and np.ptp(b) == 0
    y = test.y
    assert y is not None
    model = adapt(GDA({"zero_shot": False}), here)
    assert float(torch.eq(model(test).argmax(dim=1), y).float().mean()) > 0.5
