"""The mean over views, by hand, in the kit, in a training and in its run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import xm
from xm import Predictor, PredictorSpec, Stream, UsageError
from xm.data import View
from xm.encoders import make_encoder
from xm.plugins import manager
from xm.testing import PredictorConformance, installed
from xm_zero_shot.tta import predictors
from xm_zero_shot.tta.predictor import ViewMean


class TestTta(PredictorConformance):
    settings: ClassVar[Mapping[str, Any]] = {"views": ["one", "two", "three"]}

    @pytest.fixture
    def spec(self) -> PredictorSpec:
        return predictors()[0]


class TestConfident(TestTta):
    settings: ClassVar[Mapping[str, Any]] = {"views": ["one", "two", "three"], "confident": 0.5}


class Logits(nn.Module):
    def forward(self, stream: Stream) -> Tensor:
        return stream.x["logits"]


def judged(each: Tensor, **settings: Any) -> Tensor:
    """What tta makes of probabilities (n, views, classes), the first those of the items themselves."""
    names = [f"v{i}" for i in range(1, each.shape[1])]
    x = [{"logits": each[:, i].log()} for i in range(each.shape[1])]
    inputs = Stream("image", x[0], also=dict(zip(names, x[1:], strict=True)))
    return ViewMean({"views": names, **settings}).predict(Logits(), inputs)


def probabilities(n: int, views: int) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return (3 * torch.randn(n, views, 6, generator=generator, dtype=torch.float64)).softmax(dim=2)


def test_the_mean_of_all() -> None:
    each = probabilities(50, 9)
    torch.testing.assert_close(judged(each), each.mean(dim=1).float())


@pytest.mark.parametrize(("confident", "kept"), [(0.1, 1), (0.3, 3), (0.59, 5), (0.01, 1)])
def test_the_confident_ones_by_a_plain_loop(confident: float, kept: int) -> None:
    """As TPT's selection: the least entropies, item by item."""
    each = probabilities(40, 10)
    wanted = []
    for views in each.tolist():
        entropies = [-sum(p * np.log(p) for p in row) for row in views]
        best = sorted(range(len(views)), key=lambda i: entropies[i])[:kept]
        wanted.append([sum(views[i][c] for i in best) / kept for c in range(6)])
    torch.testing.assert_close(
        judged(each, confident=confident).double(), torch.tensor(wanted, dtype=torch.float64), atol=1e-6, rtol=1e-5
    )


def test_views_that_suit_the_modality() -> None:
    assert list(ViewMean().readings("image"))[:2] == ["flip", "zoom1:0.8"]
    assert "shift1" in ViewMean().readings("audio")
    assert {name: one.view for name, one in ViewMean({"views": ["a", "b:2"]}).readings("smell").items()} == {
        "a": "a",
        "b:2": "b:2",
    }
    with pytest.raises(UsageError, match="tta: name the views of smell: --predictor-set views=A"):
        ViewMean().readings("smell")


def test_a_stream_without_the_views_is_an_error() -> None:
    with pytest.raises(ValueError, match="the image stream has no reading 'flip'"):
        ViewMean().predict(Logits(), Stream("image", {"logits": torch.zeros(2, 3)}))


@pytest.mark.parametrize("given", [{"confident": 0}, {"confident": 1.5}, {"view": "flip"}])
def test_wrong_settings(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ViewMean(given)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright above, bright on the left, and bright in the middle; noisy."""
    installed("pixels")
    root, draw = tmp_path_factory.mktemp("pictures"), np.random.default_rng(1)
    for name, place in {"top": np.s_[:9], "left": np.s_[:, :9], "middle": np.s_[8:22, 8:22]}.items():
        (root / name).mkdir()
        for number in range(14):
            grey = draw.normal(80, 40, (30, 30))
            grey[place] += 60
            Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(root / name / f"{number}.png")
    return root


GIVEN: dict[str, Any] = {"shots": (4,), "seeds": (1,), "encoders": {"image": "pixels"}, "strategy": "nearest-centroid"}


def test_a_training_and_its_run(pictures: Path, tmp_path: Path) -> None:
    """Test, `predict` and `evaluate` see the views, and decide as a plain loop over views does."""
    installed("nearest-centroid"), installed("corruptions")
    views = ["blur:9", "zoom1", "zoom2"]
    report = xm.train(
        "image", data=str(pictures), predictor="tta", predictor_set={"views": views}, cache=tmp_path / "cache",
        out=tmp_path / "run", **GIVEN,
    )  # fmt: skip
    [result] = [r for r in report.results if r.strategy == "nearest-centroid"]
    assert result.predictor == "tta" and not result.transductive
    run = xm.load(report.run, cache=tmp_path / "cache")
    assert run.evaluate().value == result.value
    items = sorted(pictures.glob("*/1*.png"))
    encoder = make_encoder("pixels", manager(), torch.device("cpu"))
    model = run.model(run.pick(), {"image": encoder})
    every = [[item, *(View.of(item, view) for view in views)] for item in items]
    with torch.no_grad():
        each = [model(Stream("image", encoder.trunk(seen))).softmax(dim=1).mean(dim=0) for seen in every]
    for found, wanted in zip(run.predict(items), each, strict=True):
        torch.testing.assert_close(torch.tensor(list(found.probabilities.values())), wanted, atol=1e-5, rtol=1e-4)


def test_an_unknown_view_is_told_before_anything_is_computed(pictures: Path, tmp_path: Path) -> None:
    installed("nearest-centroid")
    with pytest.raises(UsageError, match=r"the image encoder has no view 'fog' \(it has: "):
        xm.train(
            "image", data=str(pictures), predictor="tta", predictor_set={"views": ["fog"]}, cache=tmp_path / "cache",
            out=tmp_path / "run", **GIVEN,
        )  # fmt: skip
    assert not (tmp_path / "run").exists() and not (tmp_path / "cache").exists()


def test_it_is_a_predictor_of_items() -> None:
    assert issubclass(ViewMean, Predictor) and ViewMean.scope == "item"
