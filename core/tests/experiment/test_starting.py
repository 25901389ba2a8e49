"""Runs that a training starts from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import xm
from xm import Encoder, EncoderSpec, RunError, Strategy, StrategySpec, UsageError
from xm.encoders import Tail
from xm.evaluation.report import Report
from xm.experiment.learned import Learned
from xm.foundation.errors import DataError
from xm.foundation.events import Event
from xm.foundation.files import read_tensors
from xm.learning import LinearClassifier
from xm.plugins.plugin_manager import PluginManager
from xm.testing import installed

Run = Callable[..., Report]
QUICK: dict[str, Any] = {"steps": 21, "lr": [1e-2], "weight_decay": [0.0], "eval_every": 10}
TUNED = {"strategy": "partial", "set": QUICK, "encoders": {"image": "open"}, "shots": (2,), "baselines": False}


class Layer(torch.nn.Module):
    """A tail of one layer, which starts as what the frozen tail does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(8, 8, bias=False)
        torch.nn.init.eye_(self.layer.weight)

    def forward(self, x: Any) -> torch.Tensor:
        return torch.nn.functional.normalize(self.layer(x["features"]), dim=-1)


@pytest.fixture(autouse=True)
def openable(toy: Any, plugins: PluginManager) -> None:
    """The image encoder "open" is the toy's, and can be opened; "other" has other weights."""

    class Open(toy.ToyImage):  # type: ignore[misc]
        def __init__(self, argument: str = "") -> None:
            self.argument = argument

        def fingerprint(self) -> str:
            return f"{super().fingerprint()}{self.argument}"

        def split(self, depth: int) -> Any:
            return self.trunk, Layer() if depth else Tail()

    toy.Open = Open
    plugins.encoders["open"] = EncoderSpec(
        name="open", target="xm_toy:Open", modality="image", suffixes=(".toy",), argument="weights"
    )
    plugins.register(installed("partial"), "partial")
    plugins.encoders["open"] = EncoderSpec(
        name="open", target="xm_toy:Open", modality="image", suffixes=(".toy",), argument="weights"
    )


@pytest.fixture
def first(run: Run, table: Path) -> Report:
    return run(data=str(table), **TUNED)


def tower(report: Report, plugins: PluginManager) -> torch.Tensor:
    """The weights of a run's tower for images, as `xm predict` would have it."""
    loaded = xm.load(report.run, plugins=plugins)
    model = loaded.model(loaded.pick(), {})
    assert isinstance(model, LinearClassifier)
    return model.towers["image"].get_parameter("map.layer.weight").detach()


def test_towers_begin_where_the_run_left_them(
    run: Run, table: Path, first: Report, plugins: PluginManager, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, seen = plugins.strategies["partial"].load(), []
    build = spec.build

    def spy(self: Any, context: Any) -> Any:
        seen.append((context.towers["image"].map.layer.weight.detach().clone(), context.runs))
        return build(self, context)

    monkeypatch.setattr(spec, "build", spy)
    report = run(data=str(table), start=(first.run,), **TUNED)
    [(begun, [given])] = seen
    assert torch.equal(begun, tower(first, plugins)) and not torch.equal(begun, torch.eye(8))
    assert (given.name, given.classes, given.strategy, given.depths) == (
        first.run,
        tuple(sorted(given.classes)),
        "partial",
        {"image": 1},
    )
    assert given.labels == 10 + 10 and isinstance(given.model(), LinearClassifier)
    assert not torch.equal(tower(report, plugins), tower(first, plugins))
    assert xm.load(report.run, plugins=plugins).evaluate().value == report.results[0].value
    note = f"start: the image encoder (depth 1) as partial left it in {first.run}, shots-2/seed-1/image; "
    assert f"{note}it cost 20 labels (train + val)." in report.notes
    assert [e for e in events if e.kind == "warning"] == []


def test_the_report_says_where_it_comes_from_and_what_that_cost(run: Run, table: Path, first: Report) -> None:
    second = run(data=str(table), start=(first.run,), **TUNED)
    third = run(data=str(table), start=(second.run,), **TUNED)
    assert [r.labels for r in second.results] == [{"train": 10, "val": 10, "start": 20}]
    assert [r.labels for r in third.results] == [{"train": 10, "val": 10, "start": 40}]
    [entry] = third.start
    index = json.loads(Path(second.run, "xm.json").read_text())
    assert entry["run"] == str(Path(second.run).resolve()) and entry["towers"] == {"image": 1} and entry["known"]
    assert (entry["task"], entry["contents"]) == (index["tasks"]["shots-2/seed-1"], index["contents"]["shots-2/seed-1"])
    assert [nested["run"] for nested in entry["start"]] == [str(Path(first.run).resolve())]
    assert json.loads(Path(third.run, "xm.json").read_text())["start"] == [entry] == third.to_json()["start"]
    assert "start" not in first.to_json() and "start" not in json.loads(Path(first.run, "xm.json").read_text())


def test_a_run_that_started_needs_no_other_to_predict(
    run: Run, table: Path, first: Report, plugins: PluginManager, toy: Any
) -> None:
    """What is taken over and not trained again is in the run itself."""

    class Head(Strategy):
        """Opens the encoder, trains none of it."""

        def depths(self, target: str, aux: Any, namer: Any) -> dict[str, int]:
            return {target: 1}

        def build(self, context: Any) -> Any:
            context.towers.requires_grad_(False)
            weight = torch.eye(len(context.classes), context.dim)
            return LinearClassifier(context.towers, weight, trainable=False)

    toy.Head = Head
    plugins.strategies["head"] = StrategySpec(name="head", target="xm_toy:Head")
    given = {**TUNED, "strategy": "head", "set": {}}
    second = run(data=str(table), start=(first.run,), **given)
    third = run(data=str(table), start=(second.run,), **given)
    expected = tower(first, plugins)
    Path(first.run, "xm.json").rename(table)
    for report in (second, third):
        assert torch.equal(tower(report, plugins), expected)
        tensors = read_tensors(Path(report.run, report.results[0].model, "model.safetensors"))
        assert not any(name.startswith("towers.") for name in tensors)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"strategy": "linear", "set": {}}, "strategy 'linear' opens no encoder that could start from it"),
        ({"set": {**QUICK, "depth": 2}}, "it opened image at depth 1, here that is 2"),
        ({"encoders": {"image": "open:other"}}, "its image encoder is open, here it is open:other, or its weights"),
    ],
)
def test_a_run_of_which_nothing_fits_is_told_why(
    run: Run, table: Path, first: Report, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        run(**{"data": str(table), **TUNED, "start": (first.run,), **settings})
    assert str(caught.value).startswith(f"--start {first.run}: nothing is taken from it: {says}")
    assert "\n" not in str(caught.value)


def test_a_run_that_tuned_nothing_is_told(run: Run, table: Path) -> None:
    plain = run(data=str(table), encoders={"image": "open"}, baselines=False)
    with pytest.raises(UsageError, match="nothing is taken from it: it opened no image encoder"):
        run(data=str(table), start=(plain.run,), **TUNED)


def test_the_first_run_that_fits_is_taken_and_an_idle_one_told(run: Run, table: Path, first: Report) -> None:
    other = run(data=str(table), **{**TUNED, "shots": (1,)})
    with pytest.raises(UsageError, match=rf"--start {other.run}: .* is taken from {first.run}; name one of the two"):
        run(data=str(table), start=(first.run, other.run), **TUNED)


def test_a_strategy_may_read_runs_by_itself(
    run: Run, table: Path, first: Report, plugins: PluginManager, toy: Any
) -> None:
    """A teacher, for example; labels count where it was asked."""

    class Taught(plugins.strategies["linear"].load()):  # type: ignore[misc]
        uses_runs = True

        def build(self, context: Any) -> Any:
            made = super().build(context)
            if "text" in context.train:
                with torch.no_grad():
                    made.weight.copy_(context.runs[0].model().weight)
            return made

    toy.Taught = Taught
    plugins.strategies["taught"] = StrategySpec(name="taught", target="xm_toy:Taught")
    given = {**TUNED, "strategy": "taught", "set": {}, "aux": ("text",)}
    report = run(data=str(table), start=(first.run,), **given)
    assert [r.labels.get("start") for r in report.results] == [None, 20]
    assert report.start[0]["towers"] == {}


def test_what_a_run_learned_from_is_kept_by_content(first: Report) -> None:
    learned = Learned.of_run(Path(first.run))
    assert learned is not None and len(set(learned.of("shots-2/seed-1"))) == 5 * 2 + 5 * 2


def swapped(table: Path) -> Path:
    """The table with train and test the other way round."""
    words = {"train": "test", "test": "train"}
    lines = [",".join(words.get(part, part) for part in line.split(",")) for line in table.read_text().splitlines()]
    other = table.with_name("swapped.csv")
    other.write_text("\n".join(lines))
    return other


def test_a_run_that_learned_from_what_is_tested_is_refused(run: Run, table: Path, first: Report) -> None:
    with pytest.raises(DataError, match=rf"--start {first.run}: it learned from 10 items that this training tests \("):
        run(data=str(swapped(table)), start=(first.run,), **TUNED)


def test_and_so_is_one_that_started_from_such(run: Run, table: Path, first: Report, tmp_path: Path, toy: Any) -> None:
    fresh = toy.write_folder(tmp_path / "fresh", each=12)
    for path in fresh.rglob("*.toy"):
        path.write_text(path.read_text() + "77")
    second = run(data=str(fresh), start=(first.run,), **TUNED)
    with pytest.raises(DataError, match=rf"--start {second.run}: it learned from 10 items that this training tests"):
        run(data=str(swapped(table)), start=(second.run,), **TUNED)


def test_of_an_older_run_it_is_said_what_cannot_be_told(run: Run, table: Path, first: Report) -> None:
    Path(first.run, "learned.safetensors").unlink()
    same = run(data=str(table), start=(first.run,), **TUNED)
    assert not any("older xm" in note for note in same.notes), "its test is this one, which it did not learn from"
    other = run(data=str(swapped(table)), start=(first.run,), **TUNED)
    assert f"{first.run} does not say from which items it learned" in " ".join(other.notes)
    assert not other.start[0]["known"]
    later = run(data=str(swapped(table)), start=(other.run,), **TUNED)
    assert f"{other.run} does not say from which items it learned" in " ".join(later.notes)


def test_no_run_is_told_before_data_are_looked_at(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        run(data=str(tmp_path / "nowhere"), start=(tmp_path,), **TUNED)


def test_an_interrupted_training_with_a_start_goes_on(
    run: Run, table: Path, first: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[Event]
) -> None:
    given = {**TUNED, "seeds": (1, 2), "start": (first.run,), "data": str(table), "out": tmp_path / "mine"}
    with monkeypatch.context() as patch:
        patch.setattr("xm.experiment.training.with_the_target_alone", None)  # fails behind the last cell
        with pytest.raises(TypeError):
            run(**given)
    events.clear()
    report = run(**given)
    whole = run(**{**given, "out": tmp_path / "whole"})
    assert any("going on: 2 of 2" in str(event.data.get("message")) for event in events)
    assert report.results == whole.results and report.start == whole.start
    assert [p.relative_to(tmp_path / "mine") for p in sorted((tmp_path / "mine").rglob("*.safetensors"))] == [
        p.relative_to(tmp_path / "whole") for p in sorted((tmp_path / "whole").rglob("*.safetensors"))
    ]


def test_an_encoder_is_left_alone(first: Report, run: Run, table: Path, plugins: PluginManager) -> None:
    run(data=str(table), start=(first.run,), **TUNED)
    assert isinstance(plugins.encoders["open"].load()(), Encoder)
    again = run(data=str(table), **TUNED)
    assert again.results == first.results
