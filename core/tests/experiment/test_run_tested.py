"""What a run keeps of its decisions on test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import xm
from xm.evaluation.report import Report
from xm.foundation.errors import DataError, RunError
from xm.foundation.files import read_tensors, write_tensors
from xm.plugins.plugin_manager import PluginManager

Train = Callable[..., Report]


def test_it_says_what_scoring_again_says_without_encoding(
    run: Train, images: Path, plugins: PluginManager, toy: Any, tmp_path: Path
) -> None:
    report = run(data=str(images), aux=("text",), shots=(1,))
    opened = xm.load(report.run, plugins=plugins, device="cpu", cache=tmp_path / "other cache")
    toy.ENCODED.clear()
    kept = [opened.tested(result.model, items=True) for result in report.results]
    assert not toy.ENCODED
    for one, result in zip(kept, report.results, strict=True):
        again = opened.decisions(pick=result.model)
        assert one.result == result
        assert (one.labels.tolist(), one.predicted.tolist()) == (again.labels.tolist(), again.predicted.tolist())
        assert list(one.items) == list(again.items)
        assert one.probabilities is None
        assert again.probabilities is not None
        assert again.probabilities.shape == (len(again.labels), 5)
        assert [w.item for w in one.wrong()] == sorted((w.item for w in again.wrong()), key=list(one.items).index)
        assert one.per_class() == again.per_class()
    f1 = opened.tested(metric="macro-f1").result
    assert (f1.metric, f1.value) == ("macro-f1", opened.evaluate(metric="macro-f1").value)


def test_figures_need_no_data_and_items_do(run: Train, images: Path, plugins: PluginManager) -> None:
    report = run(data=str(images))
    opened = xm.load(report.run, plugins=plugins, device="cpu")
    shutil.rmtree(images)
    assert sum(figures.n for figures in opened.tested().per_class()) == report.results[0].n
    with pytest.raises(DataError, match=r"the data of training: .*name them with --data"):
        opened.tested(items=True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"label": torch.tensor([7])}, "damaged"),
        ({"predicted": torch.tensor([0.5])}, "damaged"),
        ({"item": None}, "an older xm wrote it"),
    ],
)
def test_damaged_decisions(
    run: Train, images: Path, plugins: PluginManager, change: dict[str, Any], expected: str
) -> None:
    report = run(data=str(images))
    path = Path(report.run, report.results[0].model, "tested.safetensors")
    found = {**read_tensors(path), **change}
    write_tensors(path, {name: value for name, value in found.items() if value is not None})
    with pytest.raises(RunError, match=expected):
        xm.load(report.run, plugins=plugins, device="cpu").tested()
