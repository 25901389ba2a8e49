"""`lbl2vec` against the label vectors of sebischair/Lbl2Vec (09b61cc, lbl2transformervec.py), derived anew in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xm import Context, Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers, adapt
from xm_unlabelled.lbl2vec.strategy import Lbl2Vec

CLASSES, KEYWORDS, DIM, COUNT = 6, 3, 24, 80
Array = NDArray[np.float64]


def unit(x: Array) -> Array:
    out: Array = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return out


RNG = np.random.default_rng(5)
WORDS = unit(RNG.normal(size=(CLASSES, 1, DIM)) + 0.5 * RNG.normal(size=(CLASSES, KEYWORDS, DIM)))
DOCUMENTS = unit(WORDS[RNG.integers(0, CLASSES, COUNT), 0] + RNG.normal(size=(COUNT, DIM)))
HELD_OUT = unit(RNG.normal(size=(40, DIM)))


def label_vector(keywords: Array, threshold: float, least: int) -> Array:
    """The plain mean of the documents above the threshold, or of the `least` most similar ones."""
    key = keywords.mean(axis=0)
    found = [(float(document @ key / np.linalg.norm(key)), i) for i, document in enumerate(DOCUMENTS)]
    found.sort(reverse=True)
    above = [i for cosine, i in found if cosine > threshold]
    chosen = [i for _, i in found[:least]] if len(above) < least else above
    out: Array = np.stack([DOCUMENTS[i] for i in chosen]).mean(axis=0)
    return out


@pytest.mark.parametrize("threshold", (0.9, 0.4, 0.0, -1.0))
@pytest.mark.parametrize("least", (1, 5))
def test_similarities(threshold: float, least: int) -> None:
    names = Stream(
        "text", {EMBEDDING: torch.from_numpy(WORDS).flatten(0, 1)}, torch.arange(CLASSES).repeat_interleave(KEYWORDS)
    )
    here = Context(
        classes=tuple("abcdef"),
        target="image",
        dim=DIM,
        train={"text": names},
        val=None,
        named=frozenset({"text"}),
        towers=Towers({"image": Tower(Tail()), "text": Tower(Tail())}),
        unlabelled={"image": Stream("image", {EMBEDDING: torch.from_numpy(DOCUMENTS)})},
    )
    settings: dict[str, Any] = {"threshold": threshold, "min_items": least, "name": False, "scale": 20}
    model = adapt(Lbl2Vec(settings), here)
    assert isinstance(model, LinearClassifier)
    ours = model(Stream("image", {EMBEDDING: torch.from_numpy(HELD_OUT)})).detach().numpy() / 20
    theirs = HELD_OUT @ unit(np.stack([label_vector(words, threshold, least) for words in WORDS])).T
    np.testing.assert_allclose(ours, theirs, atol=1e-6, rtol=0)
