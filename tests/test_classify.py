"""Names alone, with encoders that share no space: what a training without shots says, without its labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xm

pytestmark = [pytest.mark.slow, pytest.mark.whole]

CLASSES = ("a zebra", "a plain wall")
ENCODERS = {"image": "efficientnet-lite0", "text": "minilm"}


def test_names_bridge_the_offline_encoders(tmp_path: Path) -> None:
    for k, name in enumerate(CLASSES):
        for n in range(6):
            stripes = np.arange(64)[None] // (3 + n) % 2 * (1 - k) * 200 + np.full((64, 1), 40 + 5 * n)
            path = tmp_path / "photos" / name / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(stripes.astype(np.uint8)).convert("RGB").save(path)
    report = xm.train(
        "image",
        aux=["text"],
        data=str(tmp_path / "photos"),
        shots=[0],
        seeds=[1],
        encoders=ENCODERS,
        templates=["a photo of {}."],
        out=tmp_path / "run",
        cache=tmp_path / "cache",
        device="cpu",
    )
    items = sorted((tmp_path / "photos").rglob("*.png"))
    trained = xm.load(report.run, device="cpu").predict(items)
    classes = xm.load(report.run, device="cpu").classes
    said = xm.classify(
        items, classes, encoders=ENCODERS, templates=["a photo of {}."], cache=tmp_path / "cache", device="cpu"
    )
    for one, other in zip(said, trained, strict=True):
        assert one.label == other.label
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    chances = [prediction.probabilities["a zebra"] for prediction in said]
    assert max(chances) - min(chances) > 0.01
