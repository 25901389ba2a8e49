"""Trainings that were interrupted go on, cell by cell, to what they would have come to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from xm import BenchmarkSpec, EncoderSpec
from xm.data.types import View
from xm.evaluation.report import Report
from xm.experiment.benchmark import BenchReport, bench
from xm.experiment.training import train
from xm.foundation.errors import UsageError
from xm.foundation.events import Event
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import TrackerSpec

Run = Callable[..., Report]
CELLS: dict[str, Any] = {"aux": ("text",), "shots": (1, 2), "seeds": (1, 2)}
TOTAL = 2 * 2 * 2 + 2


@pytest.fixture
def fitted(plugins: PluginManager, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each model of `linear` learned from, in the order in which they were fitted."""
    spec, heard = plugins.strategies["linear"].load(), []
    build = spec.build

    def spy(self: Any, context: Any) -> Any:
        heard.append(f"{'+'.join(context.train)} {len(context.train['image'])} {context.seed}")
        return build(self, context)

    monkeypatch.setattr(spec, "build", spy)
    return heard


class Stop(list[Event]):
    """Events, of which the one that says that so many cells are finished raises an error, once."""

    at = 0
    error: BaseException

    def __call__(self, event: Event) -> None:
        self.append(event)
        if event.kind == "cell" and event.data["done"] == self.at:
            self.at = 0
            raise self.error


@pytest.fixture
def events() -> Stop:
    return Stop()


@pytest.fixture
def go(plugins: PluginManager, table: Path, events: Stop, tmp_path: Path) -> Run:
    """`xm.train` into runs/mine."""

    def call(**settings: Any) -> Report:
        given = {"data": str(table), "out": tmp_path / "runs" / "mine", "cache": tmp_path / "cache", "device": "cpu"}
        return train("image", listener=events, plugins=plugins, **{**given, **CELLS, **settings})

    return call


@pytest.fixture
def interrupted(go: Run, events: Stop) -> Callable[..., BaseException]:
    """The same, stopped when so many cells are finished: the error."""

    def call(cells: int, error: BaseException | None = None, **settings: Any) -> BaseException:
        events.at, events.error = cells, error or KeyboardInterrupt()
        with pytest.raises(type(events.error)) as caught:
            go(**settings)
        return caught.value

    return call


def unfinished(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "runs").glob(".*"))


def files(folder: Path) -> dict[str, bytes]:
    """Every file but the events', without what differs from run to run."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found.pop("events.jsonl", None)
    index = json.loads(found["xm.json"])
    for field in ("created", "run"):
        index.pop(field)
    for result in index["results"]:
        result.pop("seconds")
    for field in ("out", "cache"):
        index["settings"].pop(field)
    return {**found, "xm.json": json.dumps(index).encode()}


@pytest.mark.parametrize("cells", [1, 3, TOTAL])
def test_it_goes_on_to_the_same_run(
    go: Run, interrupted: Any, fitted: list[str], events: Stop, tmp_path: Path, cells: int
) -> None:
    said = "1 finished cell is kept" if cells == 1 else f"{cells} finished cells are kept"
    for error in (KeyboardInterrupt(), RuntimeError("out of memory")):
        assert interrupted(cells, error).__notes__ == [f"{said}, and the same command goes on from there"]
    [partial] = unfinished(tmp_path)
    assert partial.is_dir() and partial.name.startswith(".mine.")
    events.clear()
    report = go()
    assert len(fitted) == len(set(fitted)) == TOTAL - 2, "a model was fitted twice"
    assert [event.data["done"] for event in events if event.kind == "cell"] == list(range(1, TOTAL + 1))
    assert f"going on: {cells} of {TOTAL} cells are there" in [event.data.get("message") for event in events]
    assert not unfinished(tmp_path) and not (Path(report.run) / ".kept").exists()
    whole = go(out=tmp_path / "runs" / "whole")
    assert files(Path(report.run)) == files(Path(whole.run))
    assert report.results == whole.results and report.notes == whole.notes


def test_rows_of_parts_and_of_views_of_test_are_taken_up(
    go: Run, interrupted: Any, plugins: PluginManager, toy: Any, table: Path, tmp_path: Path
) -> None:
    """Several results a model, of some of its decisions, or of others."""

    class Seeing(toy.ToyImage):  # type: ignore[misc]
        views = ("flip",)

        def _vector(self, item: Any) -> Any:
            return -super()._vector(item.item) if isinstance(item, View) else super()._vector(item)

    toy.Seeing = Seeing
    plugins.encoders["toy-image"] = EncoderSpec(
        name="toy-image", target="xm_toy:Seeing", modality="image", suffixes=(".toy",), priority=10
    )
    lines = table.read_text().splitlines()
    told = [f"{line},{('de', 'en')[number % 2]}" for number, line in enumerate(lines[1:])]
    table.write_text("\n".join([f"{lines[0]},meta.language", *told]))
    given = {"where": ("test.language=de,en",), "test_view": ("flip",)}
    interrupted(3, **given)
    report, whole = go(**given), go(out=tmp_path / "runs" / "whole", **given)
    assert len({result.split for result in report.results}) == 4
    assert report.results == whole.results and report.comparisons == whole.comparisons


def test_seconds_are_those_of_the_fit(go: Run, interrupted: Any, events: Stop) -> None:
    interrupted(3)
    first = [event.data["seconds"] for event in events if event.kind == "cell"]
    assert [result.seconds for result in go().results[:3]] == first


def test_trackers_hear_of_a_cell_once(go: Run, interrupted: Any) -> None:
    interrupted(2)
    report = go()
    lines = [json.loads(line) for line in (Path(report.run) / "events.jsonl").read_text().splitlines()]
    assert [line["done"] for line in lines if line["event"] == "cell"] == list(range(1, TOTAL + 1))


def damaged(partial: Path, how: str) -> str:
    """Damage the first cell; the warning that is due."""
    [place] = [partial / "shots-1" / "seed-1" / "image"]
    path = partial / ".kept" / place.relative_to(partial) / "results.json" if "json" in how else place / how
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return str(place)


@pytest.mark.parametrize("how", ["model.safetensors", "tested.safetensors", "results.json"])
def test_what_was_cut_short_is_made_again(
    go: Run, interrupted: Any, fitted: list[str], tmp_path: Path, warnings: Callable[[], list[str]], how: str
) -> None:
    interrupted(2)
    [partial] = unfinished(tmp_path)
    place = damaged(partial, how)
    (partial / "shots-1" / "seed-1" / "image" / ".model.safetensors.a1b2c3d4").write_bytes(b"half")
    report = go()
    assert any(text.startswith(f"{place}: damaged") and text.endswith("will be made again") for text in warnings())
    assert fitted.count("image 5 1") == 2 and len(fitted) == TOTAL - 2 + 1
    assert not list(Path(report.run).rglob(".*"))


@pytest.mark.parametrize(
    "other", [{"shots": (1,)}, {"set": {"init": "zero"}}, {"metric": "macro-f1"}, {"strategy": "zero-shot"}]
)
def test_another_training_leaves_it_alone(
    go: Run, interrupted: Any, fitted: list[str], tmp_path: Path, other: Any
) -> None:
    interrupted(2)
    [partial] = unfinished(tmp_path)
    before = sorted(partial.rglob("*"))
    fitted.clear()
    report = go(**other)
    assert len(fitted) == sum(result.strategy == "linear" for result in report.results)
    assert unfinished(tmp_path) == [partial] and sorted(partial.rglob("*")) == before


def test_other_places_make_no_other_training(go: Run, interrupted: Any, fitted: list[str], tmp_path: Path) -> None:
    interrupted(2)
    go(cache=tmp_path / "elsewhere", trackers=())
    assert len(fitted) == TOTAL - 2


def test_other_data_make_another_training(
    go: Run, interrupted: Any, fitted: list[str], table: Path, tmp_path: Path
) -> None:
    interrupted(2)
    (table.parent / "images" / "cat" / "13.toy").write_text("cat 4711")  # of test
    go()
    assert len(fitted) == TOTAL - 2 + 2 and len(unfinished(tmp_path)) == 1


def test_other_weights_make_another_training(
    go: Run, interrupted: Any, fitted: list[str], toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(2)
    monkeypatch.setitem(toy.WEIGHTS, "version", 2)
    go()
    assert len(fitted) == TOTAL - 2 + 2


def test_processes_at_once_have_folders_of_their_own(
    go: Run, interrupted: Any, fitted: list[str], tmp_path: Path
) -> None:
    interrupted(2)
    [partial] = unfinished(tmp_path)
    with FileLock(f"{partial}.lock"):  # as another process would
        interrupted(3)
        own = partial.with_name(f"{partial.name}.2")
        assert own.is_dir()
    fitted.clear()
    go()
    assert len(fitted) == TOTAL - 2 - 2 and not partial.exists() and own.is_dir()


def test_without_a_name_it_is_found_below_runs(
    go: Run, interrupted: Any, fitted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    interrupted(2, out=None)
    [partial] = unfinished(tmp_path)
    assert partial.name.startswith(".unfinished.")
    report = go(out=None)
    assert len(fitted) == TOTAL - 2
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [Path(report.run).name]


def test_an_error_before_the_first_cell_leaves_nothing_and_says_nothing(
    go: Run, plugins: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(plugins.strategies["linear"].load(), "solve", fails)
    with pytest.raises(RuntimeError) as caught:
        go()
    assert not (tmp_path / "runs").exists() and not hasattr(caught.value, "__notes__")


class Fails:
    def __init__(self, run: Path) -> None:
        raise UsageError("no key")


def test_a_tracker_that_says_what_it_lacks_costs_no_cell(
    go: Run, interrupted: Any, plugins: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Any
) -> None:
    interrupted(2)
    toy.Fails = Fails
    plugins.trackers["fails"] = TrackerSpec(name="fails", target="xm_toy:Fails")
    with pytest.raises(UsageError, match="no key"):
        go(trackers=("fails",))
    assert len(unfinished(tmp_path)) == 1


def test_what_pairs_are_worth_is_measured_once(
    go: Run, fitted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures that pair labels give are one more fit a seed."""
    whole = go(aux=("audio",))
    fits = len(fitted)
    with monkeypatch.context() as patch:
        patch.setattr("xm.experiment.training.with_the_target_alone", None)  # what comes next fails
        with pytest.raises(TypeError):
            go(aux=("audio",), out=tmp_path / "runs" / "again")
    fitted.clear()
    again = go(aux=("audio",), out=tmp_path / "runs" / "again")
    assert again.references == whole.references and fits == 8 + 2 and not fitted


def test_a_benchmark_goes_on_within_a_training(
    plugins: PluginManager, table: Path, events: Stop, fitted: list[str], tmp_path: Path
) -> None:
    plugins.benchmarks["toy"] = BenchmarkSpec(
        name="toy", target="xm.experiment:few_shot", modality="image", aux=("text",), reference="linear"
    )

    def measure(out: str) -> BenchReport:
        given = {"data": str(table), "shots": (1, 2), "seeds": (1, 2), "device": "cpu", "cache": tmp_path / "cache"}
        return bench("toy", listener=events, plugins=plugins, out=tmp_path / out, **given)

    whole = measure("whole")
    fits = len(fitted)
    fitted.clear()
    events.at, events.error = 5, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        measure("runs")
    assert [path.name.rpartition(".")[0] for path in unfinished(tmp_path)] == [".linear"]
    again = measure("runs")
    assert len(fitted) == fits and again.results == whole.results and again.comparisons == whole.comparisons
    assert not unfinished(tmp_path)
