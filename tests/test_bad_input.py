"""What users get wrong, seen from `xm.train`: a line that says so, or a warning that names the file."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import xm
from xm import DataError, ItemError, RunError, XMError
from xm.evaluation import Report
from xm.foundation import Event
from xm.plugins import PluginManager
from xm.testing import installed

TOY = Path(__file__).parents[1] / "core" / "tests" / "xm_toy.py"


@pytest.fixture(scope="session")
def toy() -> Any:
    if known := sys.modules.get("xm_toy"):  # another file of tests, in the same process, made it
        return known
    spec = importlib.util.spec_from_file_location("xm_toy", TOY)
    assert spec is not None and spec.loader is not None
    module = sys.modules["xm_toy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Bench:
    """`xm.train` on a folder, and all that it warned of."""

    def __init__(self, root: Path, plugins: PluginManager, caplog: pytest.LogCaptureFixture) -> None:
        self.root, self.plugins, self.caplog = root, plugins, caplog
        self.events: list[Event] = []
        self.data = root / "data"
        self.count = 0

    def train(self, **settings: Any) -> Report:
        self.count += 1
        given = {"data": str(self.data), "aux": ("text",), "shots": (2,), "seeds": (1,), "device": "cpu"}
        places = {"out": self.root / "runs" / str(self.count), "cache": self.root / "cache"}
        return xm.train("image", listener=self.events.append, plugins=self.plugins, **{**given, **places, **settings})

    def refused(self, kind: type[XMError], *parts: object, **settings: Any) -> None:
        """Training ends with one line that holds the parts, and leaves no run."""
        with pytest.raises(kind) as caught:
            self.train(**settings)
        said = str(caught.value)
        assert "\n" not in said
        assert all(str(part) in said for part in parts), said
        assert not (self.root / "runs").exists()

    def warned(self, *parts: object) -> None:
        logged = [r.getMessage() for r in self.caplog.records if r.name.startswith("xm") and r.levelname == "WARNING"]
        heard = logged + [str(event.data["message"]) for event in self.events if event.kind == "warning"]
        assert any(all(str(part) in message for part in parts) for message in heard), heard


@pytest.fixture
def bench(toy: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Bench:
    plugins = PluginManager(installed=False)
    plugins.register(toy, "toy")
    for name in ("linear", "zero-shot"):
        plugins.register(installed(name), name)
    made = Bench(tmp_path, plugins, caplog)
    toy.write_folder(made.data)
    return made


def test_good_data_are_trained_on_without_a_warning(bench: Bench) -> None:
    assert len(bench.train().results) == 3
    with pytest.raises(AssertionError):
        bench.warned()


def test_missing_folder(bench: Bench) -> None:
    bench.refused(DataError, bench.root / "dta", "no such", f"did you mean {bench.data}?", data=str(bench.root / "dta"))


def test_a_folder_without_classes(bench: Bench) -> None:
    (bench.root / "flat").mkdir()
    (bench.root / "flat" / "a.toy").write_text("cat 1")
    bench.refused(DataError, bench.root / "flat", "no class folders", data=str(bench.root / "flat"))


def test_files_that_no_encoder_reads(bench: Bench) -> None:
    (bench.root / "odd" / "cat").mkdir(parents=True)
    (bench.root / "odd" / "cat" / "a.xyz").write_text("cat 1")
    bench.refused(DataError, bench.root / "odd", "no file of a known suffix", ".toy", data=str(bench.root / "odd"))


def test_one_class_only(bench: Bench, toy: Any) -> None:
    toy.write_folder(bench.root / "one", classes=("cat",))
    bench.refused(DataError, "two classes or more are needed; it has only 'cat'", data=str(bench.root / "one"))


def test_an_empty_class(bench: Bench) -> None:
    (bench.data / "yak").mkdir()
    bench.train()
    bench.warned(bench.data / "yak", "left out")


def test_a_class_with_fewer_items_than_shots(bench: Bench) -> None:
    for n in range(3, 12):
        (bench.data / "hen" / f"{n}.toy").unlink()
    report = bench.train(shots=(4,))
    bench.warned("'hen' has 1", "fewer image items in train than the 4 shots asked for")
    assert report.results[0].labels["train"] == 4 * 4 + 1


def test_an_unreadable_item(bench: Bench) -> None:
    spoilt = bench.data / "dog" / "4.toy"
    whole = {r.n for r in bench.train(shots=(6,)).results}
    spoilt.write_text("broken")
    report = bench.train(shots=(6,))
    bench.warned(spoilt, "is broken")
    assert {r.n for r in report.results} in (whole, {n - 1 for n in whole})
    with pytest.raises(ItemError, match=r"4\.toy: is broken"):
        bench.train(shots=(6,), on_error="fail")
    assert sorted(p.name for p in (bench.root / "runs").iterdir()) == ["1", "2"]


def test_an_item_that_is_not_there_any_more(bench: Bench) -> None:
    link = bench.data / "dog" / "0.toy"
    link.unlink()
    link.symlink_to(bench.root / "nowhere.toy")
    bench.train(shots=(6,))


def test_no_item_can_be_read(bench: Bench) -> None:
    for path in bench.data.rglob("*.toy"):
        path.write_text("broken")
    bench.refused(DataError, "none of the", "image items can be read", "is broken")


def test_a_label_in_test_that_train_never_saw(bench: Bench, toy: Any) -> None:
    split = bench.root / "split"
    toy.write_folder(split / "train", each=4)
    toy.write_folder(split / "test", each=2, classes=(*toy.CLASSES, "yak"))
    bench.refused(DataError, "class 'yak'", split / "test" / "yak" / "0.toy", "none in train", data=str(split))


def test_a_table_with_wrong_rows(bench: Bench) -> None:
    table = bench.root / "table.csv"
    table.write_text("path,label\ndata/cat/0.toy,cat\ndata/cat/99.toy,cat\n,dog\n")
    bench.refused(
        DataError, table, "line 3", "99.toy: no such file", "line 4", "neither path nor text", data=str(table)
    )
    table.write_text("pfad,label\nx,y\n")
    said = ("line 1", "neither a column 'path' nor 'text'", "--columns path=pfad")
    bench.refused(DataError, table, *said, data=str(table))


def test_a_corrupted_cache_file(bench: Bench, toy: Any) -> None:
    first = bench.train()
    shards = sorted((bench.root / "cache").rglob("*.safetensors"))
    assert shards
    for shard in shards:
        shard.write_bytes(shard.read_bytes()[:50])
    again = bench.train()
    for shard in shards:
        bench.warned(shard, "damaged and will be made again")
    assert [r.value for r in again.results] == [r.value for r in first.results]
    toy.ENCODED.clear()
    bench.train()
    assert not toy.ENCODED


def test_a_cache_that_is_no_folder(bench: Bench) -> None:
    (bench.root / "cache").write_text("a file")
    assert len(bench.train().results) == 3
    bench.warned(bench.root / "cache", "can't be written")


def test_a_run_of_another_version(bench: Bench) -> None:
    report = bench.train()
    index = Path(report.run, "xm.json")
    index.write_text(json.dumps(json.loads(index.read_text()) | {"format": 2}))
    with pytest.raises(RunError) as caught:
        xm.load(report.run, plugins=bench.plugins)
    assert str(index) in str(caught.value) and "format 2" in str(caught.value) and "train again" in str(caught.value)


def test_nothing_computed_is_lost_when_the_last_step_fails(
    bench: Bench, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr("xm.experiment.writer.RunWriter.finish", fails)
        with pytest.raises(RuntimeError):
            bench.train(out=bench.root / "runs" / "same")
    [unfinished] = (bench.root / "runs").iterdir()
    toy.ENCODED.clear()
    bench.train(out=bench.root / "runs" / "same")
    assert not toy.ENCODED and not unfinished.exists()


@pytest.mark.parametrize("name", ["liner", "LINEAR", "", "linear "])
def test_names_are_exact_and_the_nearest_is_told(bench: Bench, name: str) -> None:
    bench.refused(xm.UsageError, f"unknown strategy {name!r}", "linear", strategy=name)
