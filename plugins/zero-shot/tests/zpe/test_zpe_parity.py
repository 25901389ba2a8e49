"""`zpe` against the formulas of google/uncertainty-baselines (experimental/multimodal), derived anew in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation

from xm import Context, Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers, adapt
from xm_zero_shot.zpe.strategy import ZeroShotPromptEnsembling

CLASSES, SENTENCES, DIM, COUNT = 7, 12, 20, 60
Array = NDArray[np.float64]


def unit(x: Array) -> Array:
    out: Array = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return out


RNG = np.random.default_rng(3)
TEXTS = unit(0.5 + RNG.normal(size=(SENTENCES, CLASSES, DIM)))
IMAGES = unit(TEXTS[0, RNG.integers(0, CLASSES, COUNT)] + 0.8 * RNG.normal(size=(COUNT, DIM)))
HELD_OUT = unit(RNG.normal(size=(40, DIM)))


def all_logits(images: Array) -> Array:
    """Of images with sentences and classes, (n, sentences, classes), the temperature's root on either side."""
    out: Array = np.einsum("nd,pcd->npc", 10 * images, 10 * TEXTS)
    return out


def published(bias: bool, weighting: str, threshold: float | None) -> Array:
    """Logits (n, classes) of the held-out images: the weighted sum of the selected sentences' over the weights' sum."""
    logits = all_logits(IMAGES)
    if bias:
        logits = logits - logits.mean(axis=0, keepdims=True)
    scores = logits.max(axis=2).mean(axis=0)
    weights = {"score": scores, "softmax": np.exp(scores) / np.exp(scores).sum(), "equal": np.ones(SENTENCES)}[
        weighting
    ]
    if threshold is not None:
        weights = weights * ((scores - np.median(scores)) / median_abs_deviation(scores) > threshold)
    assert weights.any(), "no sentence is selected, which the published code scores with zero"
    out: Array = (all_logits(HELD_OUT) * weights[None, :, None]).sum(axis=1) / weights.sum()
    return out


@pytest.mark.parametrize("bias", (True, False), ids=("samples", "none"))
@pytest.mark.parametrize("weighting", ("softmax", "score", "equal"))
@pytest.mark.parametrize("threshold", (None, 0.5, 1.0))
def test_logits(bias: bool, weighting: str, threshold: float | None) -> None:
    rows = torch.from_numpy(TEXTS).float().transpose(0, 1).flatten(0, 1)
    names = Stream("text", {EMBEDDING: rows}, torch.arange(CLASSES).repeat_interleave(SENTENCES))
    here = Context(
        classes=tuple("abcdefg"),
        target="image",
        dim=DIM,
        train={"image": Stream("image", {EMBEDDING: torch.from_numpy(IMAGES).float()})},
        val=None,
        named=frozenset(),
        towers=Towers({"image": Tower(Tail())}),
        read_names=lambda: names,
    )
    settings: dict[str, Any] = {"bias": "samples" if bias else "none", "weighting": weighting, "threshold": threshold}
    model = adapt(ZeroShotPromptEnsembling(settings), here)
    assert isinstance(model, LinearClassifier)
    ours = model(Stream("image", {EMBEDDING: torch.from_numpy(HELD_OUT).float()})).detach().double().numpy()
    np.testing.assert_allclose(ours, published(bias, weighting, threshold), atol=1e-4, rtol=1e-4)
