"""`xm.bench` on the fake plugin's data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xm import BenchmarkSpec, DataError, RunError, StrategySpec, UsageError
from xm.experiment.benchmark import BenchReport, bench
from xm.foundation.events import Event
from xm.plugins.plugin_manager import PluginManager

Bench = Callable[..., BenchReport]


@pytest.fixture
def measure(plugins: PluginManager, table: Path, events: list[Event], tmp_path: Path) -> Bench:
    """The benchmark "toy": images, with text and audio, against `linear`."""
    plugins.benchmarks["toy"] = BenchmarkSpec(
        name="toy", target="xm.experiment:few_shot", modality="image", aux=("text",), reference="linear"
    )

    def call(**settings: Any) -> BenchReport:
        given = {"data": str(table), "shots": (1, 2), "seeds": (1, 2), "device": "cpu", "out": tmp_path / "bench"}
        given |= {"cache": tmp_path / "cache", **settings}
        return bench("toy", listener=events.append, plugins=plugins, **given)

    return call


def test_all_strategies_on_the_same_draws(measure: Bench, tmp_path: Path) -> None:
    report = measure()
    rows = {(r.strategy, r.aux): set() for r in report.results}
    for r in report.results:
        rows[r.strategy, r.aux].add((r.shots, r.seed))
    trained = {(shots, seed) for shots in (1, 2) for seed in (1, 2)}
    assert rows == {
        ("linear", ()): trained,
        ("linear", ("text",)): trained,
        ("zero-shot", ("text",)): {(0, 1), (0, 2)},
    }
    assert {(c.strategy, c.aux, c.shots) for c in report.comparisons} == {("linear", ("text",), k) for k in (1, 2)}
    means = {(s.strategy, s.aux, s.shots): s.mean for s in report.summary}
    for c in report.comparisons:
        assert c.difference == pytest.approx(means["linear", ("text",), c.shots] - means["linear", (), c.shots])
        assert c.low <= c.difference <= c.high
    digests = [json.loads((tmp_path / "bench" / name / "xm.json").read_text())["tasks"] for name in ("linear",)]
    assert digests[0].keys() == {f"shots-{k}/seed-{s}" for k in (1, 2) for s in (1, 2)}
    assert json.loads(json.dumps(report.to_json(), default=str))["name"] == "toy"


def test_a_run_that_is_there_is_read_and_one_with_other_settings_refused(measure: Bench, tmp_path: Path) -> None:
    first = measure(strategies=("linear",))
    index = tmp_path / "bench" / "linear" / "xm.json"
    changed = index.stat().st_mtime_ns
    again = measure(strategies=("linear",))
    assert again.results == first.results and index.stat().st_mtime_ns == changed
    with pytest.raises(RunError, match=r"linear: holds a run with other settings \(set, templates\); choose another"):
        measure(strategies=("linear",), set={"linear.init": "zero"}, templates=("a {}",))


def test_shots_seeds_and_strategies_add_up(measure: Bench, tmp_path: Path, events: list[Event]) -> None:
    measure(strategies=("linear",), shots=(1,), seeds=(1,))
    measure(strategies=("zero-shot",), shots=(1,), seeds=(1,))
    first = (tmp_path / "bench" / "linear" / "xm.json").stat().st_mtime_ns
    events.clear()
    added = measure(strategies=("linear",), shots=(1, 2), seeds=(1, 2))
    assert (tmp_path / "bench" / "linear" / "xm.json").stat().st_mtime_ns == first
    assert sorted(path.name for path in (tmp_path / "bench").iterdir()) == [
        "linear",
        "linear+2",
        "linear+3",
        "zero-shot",
    ]
    assert any("holds runs of zero-shot too" in str(event.data.get("message")) for event in events)
    made = measure(strategies=("linear",), shots=(1, 2), seeds=(1, 2), out=tmp_path / "at once")

    def found(report: BenchReport) -> dict[Any, float]:
        return {(r.aux, r.shots, r.seed): r.value for r in report.results if r.strategy == "linear"}

    assert found(added) == found(made) and len(found(made)) == 8
    assert {c for c in added.comparisons if c.strategy == "linear"} == set(made.comparisons)
    assert {(r.strategy, r.seed) for r in added.results if not r.shots} == {("zero-shot", 1)}
    assert measure(strategies=("linear",), shots=(1,), seeds=(1,)).results != made.results, "all that is there"
    other = measure(strategies=("zero-shot",), seeds=(2,), shots=(1,), out=tmp_path / "at once", templates=("my {}",))
    assert "linear: holds a run with other settings (templates)" in other.left_out["linear"]
    own = {"strategies": ("linear",), "shots": (1,), "seeds": (1,), "out": tmp_path / "own"}
    measure(**own, set={"linear.init": "zero"})
    assert not measure(**{**own, "strategies": ("zero-shot",)}).left_out, "others keep their own settings"


def test_a_name_of_ones_own(
    plugins: PluginManager, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {"plugins": plugins, "shots": (1,), "device": "cpu", "cache": tmp_path / "cache"}
    given |= {"data": str(images), "strategies": ("linear",)}
    bench("mine", seeds=(1,), **given)
    report = bench("mine", seeds=(2,), **given)
    assert (report.name, report.settings["out"]) == ("mine", "runs/bench/mine")
    assert {r.seed for r in report.results} == {1, 2}
    for name in ("my/own", "..", "-x"):
        with pytest.raises(UsageError, match="can't be the name of a benchmark of your own"):
            bench(name, **given)


def test_a_run_of_other_data_is_refused(measure: Bench, table: Path) -> None:
    measure(strategies=("linear",))
    item = next(iter(sorted((table.parent / "images").rglob("13.toy"))))
    item.write_text("cat 4711")
    with pytest.raises(RunError, match=r"linear: was made from other data; choose another --out, or remove it$"):
        measure(strategies=("linear", "zero-shot"))


def test_settings_have_folders_of_their_own(measure: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    several, one = (measure(strategies=names, shots=(1,), out=None) for names in (("linear", "zero-shot"), ("linear",)))
    assert several.settings["out"] == one.settings["out"]
    other = measure(strategies=("linear",), shots=(2,), out=None)
    assert other.settings["out"] != one.settings["out"]
    assert sorted(p.parent for p in tmp_path.glob("runs/bench/toy/*/linear")) == sorted(
        tmp_path / report.settings["out"] for report in (one, other)
    )


def test_what_does_not_apply_is_left_out_with_its_reason(
    measure: Bench, plugins: PluginManager, toy: Any, events: list[Event]
) -> None:
    class Picky(plugins.strategies.find("linear").load()):  # type: ignore[misc]
        def build(self, context: Any) -> Any:
            raise UsageError("it wants the moon")

    toy.Picky = Picky
    plugins.strategies["picky"] = StrategySpec(name="picky", target="xm_toy:Picky")
    report = measure(strategies=("picky", "linear"), shots=(1,), seeds=(1,))
    assert report.left_out == {"picky": "it wants the moon"}
    assert {r.strategy for r in report.results} == {"linear"}
    with pytest.raises(UsageError, match="no strategy applies: picky: it wants the moon"):
        measure(strategies=("picky",), shots=(1,), seeds=(1,))


def test_settings_reach_their_strategy_and_wrong_ones_are_told_first(measure: Bench, tmp_path: Path) -> None:
    report = measure(set={"linear.init": "zero"}, shots=(1,), seeds=(1,))
    assert {r.init for r in report.results if r.strategy == "linear"} == {"zero"}
    for wrong, says in (
        ({"linear.shere": 1}, "unknown setting 'shere'"),
        ({"init": "zero"}, "--set init: name the strategy too"),
        ({"liner.init": 1}, "'liner'"),
    ):
        with pytest.raises(UsageError, match=says):
            measure(set=wrong, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_notes_are_told_once(measure: Bench, events: list[Event]) -> None:
    measure(shots=(1,), seeds=(1,))
    notes = [str(event.data["message"]) for event in events if event.kind == "note"]
    assert len(notes) == len(set(notes)) and any("home space" in note for note in notes)


def test_data_that_no_benchmark_is_for(
    plugins: PluginManager, images: Path, table: Path, events: list[Event], tmp_path: Path
) -> None:
    given: dict[str, Any] = {"listener": events.append, "plugins": plugins, "shots": (1,), "seeds": (1,)}
    given |= {"device": "cpu", "cache": tmp_path / "cache", "aux": ("text",)}
    named = bench(str(images), out=tmp_path / "one", **given)
    assert (named.name, named.settings["data"]) == ("images", str(images))
    assert {(r.strategy, r.aux, r.target) for r in named.results} == {
        ("linear", (), "image"),
        ("linear", ("text",), "image"),
        ("zero-shot", ("text",), "image"),
    }
    assert [(c.strategy, c.aux, c.against, c.against_aux) for c in named.comparisons] == [
        ("linear", ("text",), "linear", ())
    ]
    flagged = bench(data=str(images), out=tmp_path / "two", **given)
    assert flagged.results == named.results
    with pytest.raises(DataError, match="no labelled audio items in test"):
        bench(data=str(table), modality="audio", out=tmp_path / "three", **{**given, "aux": ()})


def test_own_data_that_leave_something_open(plugins: PluginManager, table: Path, measure: Bench) -> None:
    for name, settings, expected in (
        ("base-to-new", {}, "base-to-new is a protocol, and wants data: xm bench DATA --protocol base-to-new"),
        (None, {}, "name a benchmark (xm plugins list), or data: xm bench --data SOURCE"),
        (str(table), {}, "holds image and audio; say which is to be classified: --modality image (others may help"),
        ("nothing", {}, "unknown benchmark 'nothing' (known: toy), and there is no dataset, folder or file of that"),
        ("toy", {"protocol": "nothing"}, "unknown protocol 'nothing'"),
        ("toy", {"data": str(table), "test": ("other",)}, "--test names other data for a protocol that scores on such"),
        ("toy", {"modality": "audio"}, "benchmark 'toy' is of image, with text: take --modality and --aux away"),
    ):
        with pytest.raises(UsageError, match=re.escape(expected)):
            bench(name, plugins=plugins, **settings)
