"""Experiments, from data to results."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from xm.evaluation.report import Report, Result
from xm.experiment import writer
from xm.experiment.settings import TrainSettings
from xm.experiment.training import Experiment, train
from xm.foundation.errors import DataError, ItemError, UsageError, XMError
from xm.foundation.events import Event
from xm.learning.predictor import Argmax
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import ObjectiveSpec, PredictorSpec, StrategySpec, TrackerSpec

Run = Callable[..., Report]
AUX = ("text", "audio")


def rows(report: Report) -> list[tuple[Any, ...]]:
    return [(r.strategy, r.aux, r.shots, r.seed, r.value, r.val, r.n, r.init, r.labels) for r in report.results]


def test_every_subset_of_aux_and_the_product_of_shots_and_seeds(run: Run, table: Path, events: list[Event]) -> None:
    report = run(aux=AUX, data=str(table), shots=(1, 2), seeds=(1, 2, 3))
    cells = {(r.strategy, r.aux, r.shots, r.seed) for r in report.results}
    subsets = [(), ("text",), ("audio",), AUX]
    assert cells == {("linear", s, k, seed) for s in subsets for k in (1, 2) for seed in (1, 2, 3)} | {
        ("zero-shot", s, 0, seed) for s in subsets[1:] for seed in (1, 2, 3)
    }
    assert len(cells) == len(report.results)
    assert {e.data["done"] for e in events if e.kind == "cell"} == set(range(1, len(cells) + 1))
    assert {(r.n, r.split, r.metric, r.target) for r in report.results} == {(5 * 8, "test", "accuracy", "image")}
    for summary in report.summary:
        cell = (summary.target, summary.aux, summary.strategy, summary.shots, summary.split)
        values = [r.value for r in report.results if r.cell == cell]
        assert summary.seeds == 3 and summary.mean == pytest.approx(sum(values) / 3)
    by = {(s.strategy, s.aux, s.shots): s.mean for s in report.summary}
    assert by["linear", ("text",), 1] > by["linear", (), 1]
    assert by["zero-shot", ("text",), 0] > 0.5


def test_equal_seeds_give_equal_results_and_the_cache_spares_the_encoder(run: Run, table: Path, toy: Any) -> None:
    first = run(aux=AUX, data=str(table), seeds=(1, 2))
    toy.ENCODED.clear()
    again = run(aux=AUX, data=str(table), seeds=(1, 2))
    assert rows(again) == rows(first)
    assert not toy.ENCODED
    assert {r.value for r in run(data=str(table), seeds=(3, 4, 5)).results} != {r.value for r in first.results}


def test_results_do_not_depend_on_what_else_is_run(run: Run, table: Path) -> None:
    alone = run(aux=("text",), data=str(table), shots=(2,), seeds=(2,))
    among = run(aux=AUX, data=str(table), shots=(1, 2), seeds=(1, 2))
    assert set(map(str, rows(alone))) <= set(map(str, rows(among)))


def test_initialisation_and_label_costs_are_recorded(run: Run, table: Path) -> None:
    report = run(aux=AUX, data=str(table), shots=(2,))
    by = {(r.strategy, r.aux): r for r in report.results}
    assert {key: r.init for key, r in by.items() if key[0] == "linear"} == {
        ("linear", ()): "random",
        ("linear", ("text",)): "text",
        ("linear", ("audio",)): "random",
        ("linear", AUX): "text",
    }
    assert by["linear", ()].labels == {"train": 10, "val": 10}
    assert by["zero-shot", ("text",)].labels == {"train": 0, "val": 0}
    assert by["zero-shot", ("text",)].val is None
    assert not by["linear", ()].transductive


def test_strategy_settings_reach_it_and_not_the_baselines(run: Run, images: Path) -> None:
    report = run(aux=("text",), data=str(images), set={"init": "zero"})
    assert {r.strategy: r.init for r in report.results} == {"linear": "zero", "zero-shot": "text"}
    alone = run(aux=("text",), data=str(images), baselines=False)
    assert {r.strategy for r in alone.results} == {"linear"}


def test_aux_shots_set_what_auxiliaries_give(
    run: Run, table: Path, plugins: PluginManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = plugins.strategies["linear"].load()
    build, seen = spec.build, []

    def spy(self: Any, context: Any) -> Any:
        if "audio" in context.train:
            seen.append({name: len(stream) for name, stream in context.train.items()})
        return build(self, context)

    monkeypatch.setattr(spec, "build", spy)
    for number in (None, 3):
        run(aux=("audio",), data=str(table), aux_shots=number)
    assert seen == [{"image": 5, "audio": 5}, {"image": 5, "audio": 15}]


def test_pair_labels_are_a_reference_where_pairs_were_used(run: Run, table: Path) -> None:
    report = run(aux=AUX, data=str(table))
    [reference] = report.references
    assert (reference.name, reference.labels) == ("pair-labels", 5 * 6)
    assert 0.5 < reference.mean <= 1
    assert any("audio" in note and "30 pairs" in note for note in report.notes)
    assert run(aux=("text",), data=str(table)).references == ()


def test_pairs_that_fall_into_val_or_test_align_nothing(run: Run, toy: Any, tmp_path: Path) -> None:
    table = toy.write_table(tmp_path / "unsplit", splits=False)
    [reference] = run(aux=("audio",), data=str(table)).references
    assert 0 < reference.labels < 5 * 6
    with pytest.raises(UsageError, match="no pairs of audio and image"):
        run(aux=("audio",), data=str(table), resplit=True, seeds=tuple(range(1, 30)))


def test_spaces_that_nothing_aligns_are_one_line_with_the_way_out(run: Run, toy: Any, tmp_path: Path) -> None:
    table = toy.write_table(tmp_path / "none", pairs=0)
    with pytest.raises(UsageError) as caught:
        run(aux=("audio",), data=str(table))
    message = str(caught.value)
    assert "toy-sound" in message and message.endswith("xm align --anchor image --new audio --pairs FILE")
    assert "\n" not in message
    assert not list((tmp_path / "runs").glob("*")) if (tmp_path / "runs").exists() else True


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"strategy": "liner"}, "unknown strategy 'liner': did you mean 'linear'?"),
        ({"encoders": {"image": "toy-imago"}}, "unknown encoder 'toy-imago': did you mean 'toy-image'?"),
        ({"encoders": {"imag": "toy-image"}}, "unknown modality 'imag': did you mean 'image'?"),
        ({"encoders": {"image": "toy-text"}}, "encoder 'toy-text' is for text, not image (known: toy-image)"),
        ({"encoders": {"image": "toy-image:x"}}, "takes no argument; write 'toy-image'"),
        ({"modality": "imago"}, "unknown modality 'imago': did you mean 'image'?"),
        ({"aux": ("texd",)}, "unknown modality 'texd': did you mean 'text'?"),
        ({"objective": "cross-entropie"}, "unknown objective 'cross-entropie': did you mean 'cross-entropy'?"),
        ({"trackers": ("json",)}, "unknown tracker 'json': did you mean 'jsonl'?"),
        ({"metric": "acuracy"}, "unknown metric 'acuracy': did you mean 'accuracy'?"),
        ({"predictor": "argmin"}, "unknown predictor 'argmin': did you mean 'argmax'?"),
        ({"aligner": "rigde"}, "unknown aligner 'rigde': did you mean 'ridge'?"),
        ({"set": {"inid": "zero"}}, "unknown setting 'inid' (did you mean 'init'?)"),
        ({"device": "gpu"}, "device 'gpu' can't be used here"),
        ({"strategy": "zero-shot"}, "strategy 'zero-shot' needs an auxiliary modality; name one with --aux"),
        ({"shots": (0,)}, "needs an auxiliary modality"),
    ],
)
def test_a_wrong_name_is_told_before_anything_is_computed(
    run: Run, images: Path, tmp_path: Path, toy: Any, settings: dict[str, Any], said: str
) -> None:
    toy.ENCODED.clear()
    with pytest.raises(UsageError) as caught:
        run(**{"data": str(images), **settings})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()
    assert not toy.ENCODED


def test_a_failure_midway_leaves_neither_run_nor_partial_folder(
    run: Run, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugins: PluginManager
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(plugins.strategies["linear"].load(), "solve", fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        run(data=str(images))
    assert not (tmp_path / "runs").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(RuntimeError):
        run(data=str(images), out=tmp_path / "mine" / "run")
    assert not any((tmp_path / "mine").iterdir()), "a folder that was there stays, and empty"


class Fails:
    def __init__(self, run: Path) -> None:
        raise UsageError("no key")


def test_a_tracker_that_says_what_it_lacks_leaves_nothing(
    run: Run, images: Path, tmp_path: Path, plugins: PluginManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins.trackers["fails"] = TrackerSpec(name="fails", target="xm.plugins.trackers:JsonLines")
    monkeypatch.setattr("xm.plugins.trackers.JsonLines", Fails)
    with pytest.raises(UsageError, match="no key"):
        run(data=str(images), trackers=("fails",))
    assert not (tmp_path / "runs").exists()


def test_events_are_tracked_in_the_run(run: Run, images: Path) -> None:
    report = run(data=str(images))
    text = (Path(report.run) / "events.jsonl").read_text()
    assert '"event": "cell"' in text and '"event": "note"' in text
    assert run(data=str(images), trackers=()).run and not (Path(report.run) / "nothing").exists()


def test_an_unreadable_item_is_left_out_or_fails(
    run: Run, images: Path, warnings: Callable[[], list[str]], tmp_path: Path
) -> None:
    whole = run(data=str(images), trackers=()).results[0]
    spoilt = images / "cow" / "3.toy"
    spoilt.write_text("broken")
    with pytest.raises(ItemError, match=re.escape(str(spoilt))):
        for seed in range(1, 5):  # until it is drawn; test holds it at the latest if it is of test
            run(data=str(images), shots=(4,), seeds=(seed,), on_error="fail", val_shots=4)
    report = run(data=str(images), shots=(4,), seeds=(1, 2, 3, 4), val_shots=4)
    assert any(str(spoilt) in message and "is broken" in message for message in warnings())
    assert all(r.n in (whole.n, whole.n - 1) for r in report.results)


def test_train_without_a_readable_item_is_an_error(run: Run, images: Path) -> None:
    train = images.parent / "split" / "train"
    images.rename(images.parent / "test")
    (images.parent / "split").mkdir()
    (images.parent / "test").rename(images.parent / "split" / "test")
    for name in ("cat", "cow", "dog", "hen", "owl"):
        (train / name).mkdir(parents=True)
        (train / name / "a.toy").write_text("broken")
    with pytest.raises(DataError, match="no image item of class 'cat' in train can be read"):
        run(data=str(images.parent / "split"))


def test_resplit_draws_anew_and_groups_rotate(run: Run, toy: Any, tmp_path: Path, plugins: PluginManager) -> None:
    lines = ["path,modality,label,group"]
    toy.write_folder(tmp_path / "folds", each=10)
    for name in toy.CLASSES:
        lines += [f"folds/{name}/{n}.toy,image,{name},fold{n % 5}" for n in range(10)]
    (tmp_path / "folds.csv").write_text("\n".join(lines))
    given: dict[str, Any] = {"data": str(tmp_path / "folds.csv"), "split": (0.2, 0.0, 0.8), "seeds": (1, 2, 3, 4, 5)}
    folds = []
    for resplit in (True, False):
        experiment = Experiment(TrainSettings(modality="image", resplit=resplit, **given), plugins)
        trains = [
            {s.group for s in experiment.drawing.draws(seed).dataset.samples if s.split == "train"}
            for seed in given["seeds"]
        ]
        folds.append(trains)
    assert sorted(map(sorted, folds[0])) == [[f"fold{n}"] for n in range(5)]
    assert all(train == folds[1][0] for train in folds[1])
    report = run(**given, resplit=True, shots=(2,))
    assert {r.n for r in report.results} == {40}


def test_templates_are_the_sentences_of_names(run: Run, images: Path, toy: Any) -> None:
    toy.ENCODED.clear()
    run(data=str(images), aux=("text",), templates=("a photo of a {}", "{}"))
    assert toy.ENCODED["text"] == 10


def test_default_names_of_runs_are_free(
    run: Run, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reports = [run(data=str(images), out=None) for _ in range(2)]
    assert len({r.run for r in reports}) == 2
    assert sorted(p.name for p in Path("runs").iterdir()) == sorted(Path(r.run).name for r in reports)


def test_a_default_name_that_another_process_took_is_chosen_anew(
    run: Run, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugins: PluginManager
) -> None:
    monkeypatch.chdir(tmp_path)
    names: Sequence[Path] = [Path("runs/a"), Path("runs/b")]
    free = iter(names)
    monkeypatch.setattr(writer, "free_name", lambda *words: next(free))
    keep = writer.RunWriter.keep

    def taken(self: Any, *cell: Any) -> None:
        (tmp_path / "runs" / "a" / "shots-1").mkdir(parents=True, exist_ok=True)
        keep(self, *cell)

    monkeypatch.setattr(writer.RunWriter, "keep", taken)
    report = run(data=str(images), out=None)
    assert report.run == "runs/b" and (tmp_path / "runs" / "b" / "xm.json").is_file()
    assert '"run": "runs/b"' in (tmp_path / "runs" / "b" / "xm.json").read_text()
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["a", "b"]


def test_a_folder_that_is_not_empty_is_refused(run: Run, images: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="exists and is not an empty folder"):
        run(data=str(images), out=tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    (tmp_path / "empty").mkdir()
    assert run(data=str(images), out=tmp_path / "empty").run == str(tmp_path / "empty")


def loss_of_zero(logits: Any, labels: Any, weights: Any = None) -> Any:
    return logits.sum() * 0


def test_an_objective_is_what_is_minimised(run: Run, images: Path, plugins: PluginManager, toy: Any) -> None:
    toy.loss_of_zero = loss_of_zero
    plugins.objectives["nothing"] = ObjectiveSpec(name="nothing", target="xm_toy:loss_of_zero")
    given = {"solver": "adamw", "steps": 20, "lr": [0.1], "batch_size": [8], "weight_decay": [0.0], "eval_every": 5}
    idle = run(data=str(images), objective="nothing", set=given, shots=(4,)).results[0]
    busy = run(data=str(images), set=given, shots=(4,)).results[0]
    assert isinstance(idle, Result) and idle.value < busy.value


def test_a_predictor_that_sees_all_is_recorded_as_transductive(
    run: Run, images: Path, plugins: PluginManager, toy: Any
) -> None:
    toy.Together = type("Together", (Argmax,), {"scope": "set"})
    plugins.predictors["together"] = PredictorSpec(name="together", target="xm_toy:Together")
    assert all(r.transductive for r in run(data=str(images), predictor="together").results)


def test_only_errors_of_xm_for_bad_groups_and_splits(run: Run, images: Path) -> None:
    for settings in ({"group_by": "("}, {"split": (0.5, 0.5, 0.5)}, {"data": "no/such"}, {"group_by": "never"}):
        with pytest.raises(XMError) as caught:
            run(**{"data": str(images), **settings})
        assert "\n" not in str(caught.value)


def test_who_listens_to_nothing_reads_warnings_in_the_log(
    images: Path, tmp_path: Path, plugins: PluginManager, caplog: pytest.LogCaptureFixture
) -> None:
    spoilt = images / "cow" / "3.toy"
    spoilt.write_text("broken")
    places: dict[str, Any] = {"out": tmp_path / "run", "cache": tmp_path / "cache"}
    train("image", plugins=plugins, data=str(images), shots=(6,), seeds=(1,), **places)
    assert str(spoilt) in caplog.text


def test_wrong_settings_of_an_aligner_are_told_before_data_are_looked_at(run: Callable[..., Report]) -> None:
    with pytest.raises(UsageError, match="unknown setting 'alphaz'"):
        run(data="nowhere", aligner="ridge", aligner_set={"alphaz": [1.0]})


def test_wrong_labels_on_purpose(run: Run, images: Path) -> None:
    """Labels of train and val are wrong as often as was asked for; test is as it was, and results say so."""
    clean, noisy, worst = (run(data=str(images), shots=(4,), seeds=(1, 2), label_noise=n) for n in (0.0, 0.4, 1.0))
    values = [report.summary[0].mean for report in (clean, noisy, worst)]
    assert values[0] > values[1] > values[2]
    assert any(note.startswith("40% of the target's labels in train and val are wrong") for note in noisy.notes)
    assert not any("on purpose" in note for note in clean.notes)
    assert [r.value for r in run(data=str(images), shots=(4,), seeds=(1, 2), label_noise=0.4).results] == [
        r.value for r in noisy.results
    ]
    with pytest.raises(UsageError, match="label_noise"):
        run(data=str(images), label_noise=1.5)


def test_a_model_that_gives_no_numbers_ends_the_run(
    run: Callable[..., Report], plugins: PluginManager, toy: Any, tmp_path: Path
) -> None:
    class Astray(plugins.strategies.find("linear").load()):  # type: ignore[misc]
        def finish(self, model: Any, context: Any) -> Any:
            made = super().finish(model, context)
            for parameter in made.state_dict().values():
                parameter.fill_(float("nan"))
            return made

    toy.Astray = Astray
    plugins.strategies["astray"] = StrategySpec(name="astray", target="xm_toy:Astray")
    with pytest.raises(UsageError, match=r"shots 1, seed 1 gives no numbers \(NaN\): its training went astray; lower"):
        run(strategy="astray", data=str(toy.write_folder(tmp_path / "photos")))


def test_what_is_in_test_and_in_train_is_told(
    run: Callable[..., Report], toy: Any, tmp_path: Path, warnings: Callable[[], list[str]]
) -> None:
    for split in ("train", "test"):
        toy.write_folder(tmp_path / "photos" / split, each=2)
    run(data=str(tmp_path / "photos"), shots=(2,))
    told = next(text for text in warnings() if "byte for byte" in text)
    assert told.startswith("10 items of test are in train or val too")
