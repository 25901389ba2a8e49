"""Runs: trained yesterday, used today."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xm
from xm.data import Dataset, Sample
from xm.data.naming import unique
from xm.evaluation.report import Report
from xm.experiment.scored import _labelled
from xm.foundation.errors import DataError, RunError, UsageError
from xm.plugins.plugin_manager import PluginManager

Train = Callable[..., Report]


@pytest.fixture
def report(run: Train, table: Path) -> Report:
    return run(aux=("text", "audio"), data=str(table), shots=(1, 2), seeds=(1, 2))


@pytest.fixture
def load(plugins: PluginManager, tmp_path: Path) -> Callable[..., xm.Run]:
    return lambda folder: xm.load(folder, plugins=plugins, device="cpu", cache=tmp_path / "other cache")


@pytest.fixture
def run_folder(report: Report) -> Path:
    return Path(report.run)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    index = json.loads((folder / "xm.json").read_text())
    change(index)
    (folder / "xm.json").write_text(json.dumps(index))


Load = Callable[..., xm.Run]


def test_every_model_scores_again_as_in_training(report: Report, load: Load) -> None:
    run = load(report.run)
    assert run.results == report.results
    for result in report.results:
        again = run.evaluate(pick=result.model)
        assert (again.value, again.n, again.split) == (result.value, result.n, "test"), result.model


def test_predictions_are_those_of_training(report: Report, load: Load, table: Path) -> None:
    run = load(report.run)
    items = [table.parent / "images" / name / f"{n}.toy" for name in run.classes for n in range(6, 14)]
    for result in report.results:
        predicted = run.predict(items, pick=result.model)
        right = [p.label == p.item.parent.name for p in predicted]
        assert sum(right) / len(right) == pytest.approx(result.value), result.model
        assert all(sum(p.probabilities.values()) == pytest.approx(1, abs=1e-4) for p in predicted)
        assert all(p.label == max(p.probabilities, key=lambda name: p.probabilities[name]) for p in predicted)


def test_it_predicts_elsewhere_without_training_data_and_cache(
    report: Report, load: Load, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [path.read_text() for path in sorted((table.parent / "images").rglob("1[0-3].toy"))]
    new = tmp_path / "new"
    new.mkdir()
    for n, text in enumerate(items):
        (new / f"{n}.toy").write_text(text)
    paths = [new / f"{n}.toy" for n in range(len(items))]
    before = load(report.run).predict(paths)
    moved = Path(shutil.move(report.run, tmp_path / "elsewhere"))
    shutil.rmtree(table.parent)
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XM_CACHE", str(tmp_path / "work" / "cache"))
    assert load(moved).predict(paths) == before
    sounds = tmp_path / "new" / "cat.snd"
    sounds.write_text("cat 5")
    assert load(moved).predict([sounds])[0].label == "cat"
    assert not list((tmp_path / "work").iterdir()), "predicting wrote something"
    with pytest.raises(DataError, match=r"table\.csv: no such file"):
        load(moved).evaluate()


def test_which_model_is_picked(report: Report, load: Load) -> None:
    run = load(report.run)
    assert run.pick().model == "shots-2/seed-1/image+text+audio"
    assert run.pick("shots-1").model == "shots-1/seed-1/image"
    assert run.pick("seed-2/image+audio").model == "shots-1/seed-2/image+audio"
    assert run.pick("/image+text/").aux == ("text",)
    assert run.pick("baselines/zero-shot").strategy == "zero-shot"
    for wrong in ("shots-3", "shots-1/seed", "image+tex"):
        with pytest.raises(UsageError, match=re.escape(f"unknown model '{wrong}'")):
            run.pick(wrong)


def test_a_run_of_baselines_alone_picks_one_of_them(run: Train, images: Path, load: Load) -> None:
    report = run(data=str(images), aux=("text",), shots=(0,))
    assert load(report.run).pick().strategy == "zero-shot"


def test_an_auxiliary_modality_is_predicted_as_well(report: Report, load: Load, table: Path) -> None:
    run = load(report.run)
    paths = [table.parent / "sounds" / name / f"{n}.snd" for name in run.classes for n in range(4)]
    by_suffix = run.predict(paths)
    assert run.predict(paths, modality="audio") == by_suffix
    assert sum(p.label == p.item.parent.name for p in by_suffix) / len(paths) > 0.6
    names = run.predict(["a dog", "owl"], modality="text")
    assert [p.label for p in names] == ["dog", "owl"]
    mixed = run.predict([paths[0], table.parent / "images" / "owl" / "9.toy"])
    assert mixed[0].label == by_suffix[0].label and mixed[1].label == "owl"
    assert mixed[0].probabilities == pytest.approx(by_suffix[0].probabilities, abs=1e-5)
    with pytest.raises(UsageError, match="unknown modality of this run 'video'"):
        run.predict(paths, modality="video")


def test_an_unreadable_item_has_an_error_and_the_others_are_fine(
    report: Report, load: Load, table: Path, tmp_path: Path
) -> None:
    good = str(table.parent / "images" / "dog" / "9.toy")
    (tmp_path / "bad.toy").write_text("broken")
    items = [good, tmp_path / "bad.toy", tmp_path / "gone.toy", np.ones(8), good]
    found = load(report.run).predict(items)
    assert [p.error for p in found] == [None, "is broken", "no such file", None, None]
    assert [p.label is None for p in found] == [False, True, True, False, False]
    assert found[1].probabilities == {} and found[0] == found[4]
    assert [p.item is item for p, item in zip(found, items, strict=True)] == [True] * 5
    assert load(report.run).predict([]) == []
    assert load(report.run).predict(items[1:3])[1].error == "no such file"


def test_other_metrics(report: Report, load: Load) -> None:
    run = load(report.run)
    assert run.evaluate(metric="macro-f1").metric == "macro-f1"
    with pytest.raises(UsageError, match="unknown metric"):
        run.evaluate(metric="f1")


def test_evaluate_on_other_data(
    report: Report, load: Load, toy: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = toy.write_folder(tmp_path / "other", each=3, classes=("owl", "cat"))
    run = load(report.run)
    unsplit = run.evaluate(str(other))
    predicted = run.predict(sorted(other.rglob("*.toy")))
    assert unsplit.n == 6 and unsplit.split == str(other)
    assert unsplit.value == pytest.approx(sum(p.label == p.item.parent.name for p in predicted) / 6)
    for split, each in (("train", 3), ("test", 2)):
        toy.write_folder(tmp_path / "split" / split, each=each, classes=("owl", "cat"))
    assert run.evaluate(str(tmp_path / "split")).n == 4
    spoilt = other / "cat" / "1.toy"
    spoilt.write_text("broken")
    with caplog.at_level(logging.WARNING, "xm"):
        assert run.evaluate(str(other)).n == 5
    assert str(spoilt) in caplog.text
    toy.write_folder(other, each=1, classes=("newt",))
    with pytest.raises(DataError) as caught:
        run.evaluate(str(other))
    assert str(other / "newt" / "0.toy") in str(caught.value) and "class 'newt'" in str(caught.value)
    (tmp_path / "sounds" / "cat").mkdir(parents=True)
    (tmp_path / "sounds" / "cat" / "a.snd").write_text("cat 1")
    with pytest.raises(DataError, match=r"sounds holds no image to score \(its modalities: audio\)$"):
        run.evaluate(str(tmp_path / "sounds"))


def test_all_of_data_without_splits_is_scored_with_a_warning(
    report: Report, load: Load, toy: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = toy.write_folder(tmp_path / "other", each=3, classes=("owl", "cat"))
    with caplog.at_level(logging.WARNING, "xm"):
        load(report.run).evaluate(str(other))
    assert f"{other} has no splits: all of it is scored" in caplog.text


def test_data_that_changed_are_not_scored_as_the_same(
    run: Callable[..., Report], load: Load, toy: Any, tmp_path: Path
) -> None:
    data = toy.write_folder(tmp_path / "photos", each=12, classes=("owl", "cat"))
    report = run(data=str(data), shots=(1,), seeds=(1,))
    again = load(report.run)
    assert again.evaluate().n == report.results[0].n
    (data / "cat" / "0.toy").rename(data / "cat" / "renamed.toy")
    (data / "cat" / "new.toy").write_text("cat 77")
    with pytest.raises(DataError, match=r"photos: has changed since training, .* new items with --data$"):
        load(report.run).evaluate()


def test_data_are_found_from_any_folder(
    run: Callable[..., Report], load: Load, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.write_folder(tmp_path / "photos", each=6, classes=("owl", "cat"))
    monkeypatch.chdir(tmp_path)
    report = run(data="photos", shots=(1,), seeds=(1,), out=tmp_path / "r")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load(tmp_path / "r").evaluate().value == report.results[0].value
    (tmp_path / "photos").rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"^the data of training: .*photos: no such .*; name them with --data$"):
        load(tmp_path / "r").evaluate()


def test_classes_of_one_name_stay_apart() -> None:
    assert unique(("cat", "owl", "cat")) == ["cat (class 0)", "owl", "cat (class 2)"]
    names, folder = ("cat", "cat"), Path("run")
    with pytest.raises(DataError, match="two classes of the run are called 'cat'"):
        _labelled([], Dataset("other", ("cat", "newt"), ()), names, folder)
    samples = [Sample("an item", "image", label, "test") for label in (0, 1)]
    assert _labelled(samples, Dataset("same", names, ()), names, folder) == samples


def test_predict_takes_a_list(report: Report, load: Load) -> None:
    with pytest.raises(UsageError, match=r"^predict takes a list of items: \['x.png'\]$"):
        load(report.run).predict("x.png")


def test_evaluate_with_resplit_scores_the_seeds_own_test(run: Train, images: Path, load: Load) -> None:
    report = run(data=str(images), resplit=True, seeds=(1, 2, 3), shots=(2,))
    again = load(report.run)
    assert [again.evaluate(pick=r.model).value for r in report.results] == [r.value for r in report.results]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda index: index.update(format=99), "format 99, but this xm reads 1"),
        (lambda index: index.pop("format"), "format None"),
        (lambda index: index.pop("ways"), "damaged (without ways)"),
        (lambda index: index.update(results=[]), "damaged (without results)"),
    ],
)
def test_an_index_that_does_not_fit(run_folder: Path, load: Load, change: Any, said: str) -> None:
    edit(run_folder, change)
    with pytest.raises(RunError) as caught:
        load(run_folder)
    assert said in str(caught.value) and str(run_folder / "xm.json") in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\ud800"])
def test_a_damaged_index(run_folder: Path, load: Load, text: str) -> None:
    (run_folder / "xm.json").write_bytes(text.encode("utf-16", "surrogatepass") if text == "\ud800" else text.encode())
    with pytest.raises(RunError, match=r"xm\.json: (damaged|format)") as caught:
        load(run_folder)
    assert "\n" not in str(caught.value)


def test_no_run_at_all(tmp_path: Path, load: Load) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunError, match=r"not a run folder \(xm\.json: No such file"):
            load(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="not a run folder"):
        load(tmp_path / "file")


@pytest.mark.parametrize("what", ["shots-2/seed-1/image+text+audio/model.safetensors", "maps/audio.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_missing_or_damaged_file_is_named(run_folder: Path, load: Load, table: Path, what: str, damage: str) -> None:
    path = run_folder / what
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        shutil.copy(
            run_folder / ("maps/audio.safetensors" if "shots" in what else "shots-1/seed-1/image/model.safetensors"),
            path,
        )
    with pytest.raises(RunError) as caught:
        load(run_folder).predict([table.parent / "sounds" / "cat" / "0.snd"])
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    if "maps" in what:
        assert load(run_folder).predict([table.parent / "images" / "cat" / "9.toy"])[0].error is None


def test_another_encoder_than_in_training_is_refused(
    report: Report, load: Load, table: Path, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(toy.WEIGHTS, "version", 2)
    with pytest.raises(RunError, match="encoder 'toy-image' is not the one of training"):
        load(report.run).predict([table.parent / "images" / "cat" / "0.toy"])
    with pytest.raises(RunError, match="not the one of training"):
        load(report.run).evaluate()


def test_a_plugin_that_is_gone_is_named(report: Report, load: Load, table: Path, plugins: PluginManager) -> None:
    plugins.unregister("linear")
    with pytest.raises(UsageError, match="unknown strategy 'linear'"):
        load(report.run).predict([table.parent / "images" / "cat" / "0.toy"])


def test_nothing_in_a_run_is_a_pickle(run_folder: Path) -> None:
    files = [path for path in run_folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".jsonl", ".safetensors"}
    assert not [path for path in files if path.name.startswith(".")]


def test_present_decides_among_the_classes_that_the_data_hold(
    run: Callable[..., Report], load: Callable[..., xm.Run], images: Path, toy: Any, tmp_path: Path
) -> None:
    """Dogs that are called cows are wrong, but right where cow is all there is to say."""
    made = load(run(data=str(images)).run)
    called = toy.write_folder(tmp_path / "called", classes=("dog",))
    (called / "dog").rename(called / "cow")
    one = str(called)
    assert made.evaluate(one, present=True).value == 1 > made.evaluate(one).value
