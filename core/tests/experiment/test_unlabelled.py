"""Unlabelled items and centring, from settings to a run's folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import xm
from xm import Context, Strategy, StrategySpec, UsageError
from xm.evaluation.report import Report
from xm.experiment.settings import TrainSettings
from xm.foundation.errors import DataError
from xm.foundation.files import read_tensors
from xm.foundation.layout import CENTRES
from xm.learning.model import EMBEDDING, LinearClassifier, class_means
from xm.plugins.config import validated
from xm.plugins.plugin_manager import PluginManager

Train = Callable[..., Report]
SEEN: list[Context] = []


class Watching(Strategy):
    """Class means of the names; keeps its context for the test to look at."""

    def build(self, context: Context) -> nn.Module:
        SEEN.append(context)
        names = class_means(context.names, len(context.classes))
        return LinearClassifier(context.towers, names, trainable=False)


@pytest.fixture
def watching(plugins: PluginManager, toy: Any) -> None:
    SEEN.clear()
    toy.Watching = Watching
    plugins.strategies["watching"] = StrategySpec(name="watching", target="xm_toy:Watching", needs_unlabelled=True)


def test_a_strategy_sees_them_without_labels(run: Train, table: Path, watching: None) -> None:
    report = run(data=str(table), aux=("text",), strategy="watching", unlabelled="rest", shots=(0, 1))
    rows = {(r.aux, r.shots): r for r in report.results if r.strategy == "watching"}
    assert set(rows) == {((), 1), (("text",), 0), (("text",), 1)}, "no shots want an auxiliary modality"
    for context in SEEN:
        stream = context.unlabelled["image"]
        assert stream.y is None and context.texts is not None
        shots = 1 if "image" in context.train and len(context.train["image"]) else 0
        assert len(stream) == 5 * (3 - shots)
    assert rows[("text",), 1].labels == {"train": 5, "val": 5, "unlabelled": 10}
    index = json.loads((Path(report.run) / "xm.json").read_text())
    assert set(index["unlabelled"]) == {"shots-0/seed-1", "shots-1/seed-1"}


def test_without_the_setting_all_is_as_before(run: Train, table: Path) -> None:
    report = run(data=str(table), aux=("text",))
    assert all("unlabelled" not in r.labels for r in report.results)
    assert json.loads((Path(report.run) / "xm.json").read_text())["unlabelled"] == {}
    assert not list(Path(report.run).rglob(CENTRES))


def test_a_strategy_that_needs_them_says_what_to_type(run: Train, table: Path, watching: None) -> None:
    with pytest.raises(UsageError, match=r"'watching' learns from unlabelled items: .*--unlabelled rest"):
        run(data=str(table), aux=("text",), strategy="watching")
    with pytest.raises(DataError, match="leaves no image item for shots 3, seed 1"):
        run(data=str(table), aux=("text",), strategy="watching", unlabelled="rest", shots=(3,))


def test_a_folder_of_the_users(run: Train, table: Path, watching: None, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for n in range(7):
        (tmp_path / "more" / f"{n}.toy").write_text(f"cat {500 + n}")
    run(data=str(table), aux=("text",), strategy="watching", unlabelled=str(tmp_path / "more"), shots=(3,))
    assert {len(context.unlabelled["image"]) for context in SEEN} == {7}


def test_centring_takes_the_mean_of_unlabelled_items_away(run: Train, table: Path, watching: None) -> None:
    run(data=str(table), aux=("text",), strategy="watching", unlabelled="rest", centre="unlabelled", shots=(1,))
    plain = len(SEEN)
    run(data=str(table), aux=("text",), strategy="watching", unlabelled="rest", shots=(1,))
    for centred, as_it_is in zip(SEEN[:plain], SEEN[plain:], strict=True):
        mean = as_it_is.unlabelled["image"].x[EMBEDDING].mean(dim=0)
        for kind in ("train", "unlabelled"):
            before = getattr(as_it_is, kind)["image"].x[EMBEDDING]
            after = getattr(centred, kind)["image"].x[EMBEDDING]
            torch.testing.assert_close(after, nn.functional.normalize(before - mean, dim=1))
        assert centred.val is not None and as_it_is.val is not None
        after, before = centred.val.x[EMBEDDING], as_it_is.val.x[EMBEDDING]
        torch.testing.assert_close(after, nn.functional.normalize(before - mean, dim=1))
        assert centred.texts is not None
        assert float(centred.texts.x[EMBEDDING].mean(dim=0).norm()) < 0.15, "names have a centre of their own"


@pytest.mark.parametrize("strategy", ["linear", "zero-shot"])
def test_a_run_keeps_its_centres(
    run: Train, table: Path, plugins: PluginManager, tmp_path: Path, strategy: str
) -> None:
    settings: dict[str, Any] = {"unlabelled": "rest", "centre": "unlabelled", "seeds": (1, 2)}
    report = run(data=str(table), aux=("text", "audio"), strategy=strategy, **settings)
    loaded = xm.load(report.run, plugins=plugins, device="cpu", cache=tmp_path / "other")
    for result in report.results:
        assert loaded.evaluate(pick=result.model).value == result.value
        assert set(read_tensors(Path(report.run) / result.model / CENTRES)) == {"image", "text", "audio"}
    prediction = loaded.predict([str(table.parent / "images" / "cat" / "9.toy")])[0]
    assert prediction.label is not None


def test_unlabelled_items_that_can_not_be_read_are_no_centre(run: Train, table: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "0.toy").write_text("broken 1")
    settings: dict[str, Any] = {"unlabelled": str(tmp_path / "more"), "centre": "unlabelled"}
    with pytest.raises(DataError, match="none of the 1 unlabelled image items of shots 1, seed 1 can be read"):
        run(data=str(table), **settings)


def test_centring_needs_unlabelled_items() -> None:
    with pytest.raises(UsageError, match=r"centre=unlabelled needs unlabelled items; .*--unlabelled rest"):
        validated(TrainSettings, {"modality": "image", "centre": "unlabelled"}, "train")
