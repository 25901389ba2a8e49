"""The benchmarks on made-up data, with encoders of one space that read it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from xm import bench
from xm.data import Task, open_dataset
from xm.experiment import BenchReport, Drawing, TrainSettings
from xm.plugins import PluginManager, manager
from xm_datasets.imagenet_esc.classes import RECORDS

NAMES = [f"{name}-{target}" for name in RECORDS for target in ("image", "audio")]


def run(name: str, plugins: PluginManager, out: Path, **settings: Any) -> BenchReport:
    given = {"strategies": ("nearest-centroid",), "device": "cpu", "out": out, "cache": out.parent / "cache"}
    return bench(name, plugins=plugins, listener=lambda event: None, **(given | settings))


def tasks(folder: Path, plugins: PluginManager) -> dict[tuple[int, int], Task]:
    """What a run drew, drawn again from the settings that it kept."""
    index = json.loads((folder / "xm.json").read_text(encoding="utf-8"))
    settings = TrainSettings(**index["settings"])
    assert settings.cache is not None
    drawing = Drawing(settings, open_dataset(settings.data, plugins, settings.cache), frozenset({"text"}))
    found = {(shots, seed): drawing.task(shots, seed) for shots in settings.shots for seed in settings.seeds}
    assert {f"shots-{k}/seed-{s}": task.digest for (k, s), task in found.items()} == index["tasks"]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_two_benchmarks_for_each_dataset(name: str) -> None:
    spec = manager().benchmarks.find(name)
    assert (spec.modality, spec.reference) == (name.rpartition("-")[2], "linear")
    assert set(spec.aux) == {"text", "image", "audio"} - {spec.modality}


def test_audio_learns_from_one_fold_and_is_tested_on_four(
    imagenet_esc: Path, plugins: PluginManager, tmp_path: Path
) -> None:
    report = run("imagenet-esc-19-audio", plugins, tmp_path / "bench", shots=(1, 2))
    rows = {(r.aux, r.shots, r.seed) for r in report.results}
    subsets = ((), ("text",), ("image",), ("text", "image"))
    assert rows == {(aux, shots, seed) for aux in subsets for shots in (1, 2) for seed in range(1, 6)}
    learned = []
    for (shots, _), task in tasks(tmp_path / "bench" / "nearest-centroid", plugins).items():
        train, test = task.samples["train"], task.samples["test"]["audio"]
        [fold] = {sample.group for sample in (*train["audio"], *task.samples["val"]["audio"])}
        assert {sample.group for sample in test} == {f"fold {k}" for k in range(1, 6)} - {fold}
        assert Counter(s.label for s in test) == dict.fromkeys(range(19), 4 * 4)
        assert {len(train["audio"]), len(task.samples["val"]["audio"])} == {shots * 19}
        assert not set(train["audio"]) & set(task.samples["val"]["audio"])
        assert Counter(s.label for s in train["image"]) == dict.fromkeys(range(19), 1), "one image a class, always"
        learned.append((shots, fold))
    assert Counter(learned) == {(shots, f"fold {k}"): 1 for shots in (1, 2) for k in range(1, 6)}


def test_images_are_tested_whole_with_a_clip_of_another_fold_for_each_seed(
    caltech_esc: Path, plugins: PluginManager, tmp_path: Path
) -> None:
    run("caltech-esc-image", plugins, tmp_path / "bench")
    found = tasks(tmp_path / "bench" / "nearest-centroid", plugins)
    assert found.keys() == {(shots, seed) for shots in (1, 2, 4) for seed in range(1, 6)}
    assert len({task.samples["test"]["image"] for task in found.values()}) == 1
    folds = set()
    for (shots, seed), task in found.items():
        train = task.samples["train"]
        assert Counter(s.label for s in train["image"]) == dict.fromkeys(range(6), shots)
        assert Counter(s.label for s in train["audio"]) == dict.fromkeys(range(6), 1)
        folds.add((seed, *{s.group for s in train["audio"]}))
        learned = {s.item for split in ("train", "val") for s in task.samples[split]["image"]}
        assert not learned & {s.item for s in task.samples["test"]["image"]}
    assert len(folds) == 5 and {fold for _, fold in folds} == {f"fold {k}" for k in range(1, 6)}


def test_others_help_in_one_space(imagenet_esc: Path, plugins: PluginManager, tmp_path: Path) -> None:
    """The made-up classes have the same direction in each modality, so one more sample is worth much at one shot."""
    given = {"shots": (1,), "strategies": ("linear", "zero-shot")}
    report = run("imagenet-esc-27-image", plugins, tmp_path / "bench", **given)
    by_row = {(s.strategy, s.aux): s.mean for s in report.summary}
    alone = by_row["linear", ()]
    assert by_row["linear", ("audio",)] > alone + 0.03 and by_row["linear", ("text",)] > alone + 0.03
    assert by_row["zero-shot", ("text",)] > 0.9
    assert {(c.strategy, c.aux) for c in report.comparisons} == {
        ("linear", ("text",)),
        ("linear", ("audio",)),
        ("linear", ("text", "audio")),
    }


def test_what_is_given_goes_before_the_protocols_defaults(
    caltech_esc: Path, plugins: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And runs are kept in a folder of the benchmark's name, so that two benchmarks don't meet."""
    monkeypatch.chdir(tmp_path)
    given = {"strategies": ("nearest-centroid",), "device": "cpu", "cache": tmp_path / "cache"}
    for target in ("image", "audio"):
        name = f"caltech-esc-{target}"
        report = bench(name, plugins=plugins, listener=lambda e: None, shots=(2,), seeds=(3,), **given)
        assert {(r.shots, r.seed) for r in report.results} == {(2, 3)}
        assert report.settings["aux_shots"] == 1 and report.settings["resplit"]
        assert Path(report.settings["out"]).parent == Path("runs/bench") / name
        assert (tmp_path / report.settings["out"] / "nearest-centroid/xm.json").is_file()
