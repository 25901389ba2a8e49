from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from xm import EncoderSpec, hookimpl
from xm.data import Dataset
from xm.data.open import _find, located, open_dataset
from xm.foundation.errors import DataError, PluginError, UsageError
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import DatasetSpec


def made(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    return Dataset(name=f"{source}|{sorted(suffixes)}|{cache}", classes=(), samples=())


class Plugin:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, default: bool) -> None:
        import sys
        import types

        module = types.ModuleType("xm_made_data")
        module.__dict__["made"] = made
        monkeypatch.setitem(sys.modules, "xm_made_data", module)
        self.default = default

    @hookimpl
    def datasets(self) -> list[DatasetSpec]:
        target = "xm_made_data:made"
        return [
            DatasetSpec(name="blobs", target=target, default=self.default),
            DatasetSpec(name="tar", target=target, opens=(".tar", ".gz")),
            DatasetSpec(name="tgz", target=target, opens=(".tar.gz",)),
        ]

    @hookimpl
    def encoders(self) -> list[EncoderSpec]:
        return [EncoderSpec(name="e", target="m:E", modality="image", suffixes=(".jpg",))]


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> PluginManager:
    manager = PluginManager(installed=False)
    manager.register(Plugin(monkeypatch, default=True), "made")
    return manager


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


CACHE = Path("cache")


def test_default_and_name(manager: PluginManager, here: Path) -> None:
    assert open_dataset(None, manager, CACHE).name == "blobs|['.jpg']|cache"
    (here / "blobs").mkdir()
    assert open_dataset("blobs", manager, CACHE).name == "blobs|['.jpg']|cache"


def test_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"--data$"):
        open_dataset(None, PluginManager(installed=False), CACHE)
    manager = PluginManager(installed=False)
    manager.register(Plugin(monkeypatch, default=False), "made")
    with pytest.raises(UsageError, match=r"--data \(or a name: blobs\)"):
        open_dataset(None, manager, CACHE)


def test_folder_and_table(manager: PluginManager, here: Path) -> None:
    for name in ("photos/dog/1.jpg", "photos/cat/1.jpg", "blobs/cow/1.jpg"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    assert open_dataset("photos", manager, CACHE).classes == ("cat", "dog")
    assert open_dataset("./blobs", manager, CACHE).classes == ("cow",)
    assert open_dataset(Path("blobs"), manager, CACHE).classes == ("cow",)
    (here / "T.CSV").write_text("path,label\nphotos/dog/1.jpg,dog\n")
    assert open_dataset("T.CSV", manager, CACHE).classes == ("dog",)


def test_longest_suffix_opens(manager: PluginManager, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "x.tar.gz").touch()
    used: list[str] = []
    load = DatasetSpec.load

    def noted(self: DatasetSpec) -> object:
        used.append(self.name)
        return load(self)

    monkeypatch.setattr(DatasetSpec, "load", noted)
    assert open_dataset("x.tar.gz", manager, CACHE).name.startswith("x.tar.gz|")
    assert used == ["tgz"]


def test_a_reader_is_no_data(manager: PluginManager, here: Path) -> None:
    with pytest.raises(UsageError, match=r"--data manifest: that is a reader.* a .csv file or a .tsv file or"):
        open_dataset("manifest", manager, CACHE)
    (here / "folder" / "dog").mkdir(parents=True)
    (here / "folder" / "dog" / "1.jpg").touch()
    assert open_dataset("folder", manager, CACHE).classes == ("dog",)


def test_unknown(manager: PluginManager, here: Path) -> None:
    (here / "photos").mkdir()
    (here / "x.parquet").touch()
    with pytest.raises(UsageError, match=r"unknown dataset 'blob': did you mean 'blobs'\?"):
        open_dataset("blob", manager, CACHE)
    with pytest.raises(DataError, match=r"no such file or folder; did you mean photos\?"):
        open_dataset("./fotos", manager, CACHE)
    with pytest.raises(DataError, match=r"^photo: no such folder or file; did you mean photos\?$"):
        open_dataset("photo", manager, CACHE)
    with pytest.raises(DataError, match="no such file or folder"):
        open_dataset("table.csv", manager, CACHE)
    with pytest.raises(DataError, match=r"x.parquet: no plugin opens such a file .*: .csv, .gz, .*, folders"):
        open_dataset("x.parquet", manager, CACHE)


def test_imports_nothing_heavy() -> None:
    import subprocess
    import sys

    code = (
        "import sys, xm.data, xm.data.open, xm.data.folder, xm.data.manifest; "
        "print([m for m in ('torch', 'numpy', 'pydantic', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("source", ["{a.tar,b.tar}", "shards-{000..099}.tar", "{" + ",".join(["x" * 90] * 9) + "}.tar"])
def test_patterns(manager: PluginManager, here: Path, source: str) -> None:
    """Braces at the end too, and more of them than a name can be long."""
    assert open_dataset(source, manager, CACHE).name.startswith(source)


@pytest.mark.parametrize(("files", "named"), [(["a.tar"], "a.tar"), (["a.tar", "b.tar"], "*.tar")])
def test_a_folder_of_what_can_be_opened(manager: PluginManager, here: Path, files: list[str], named: str) -> None:
    from xm.plugins.builtin import datasets

    class Folder:
        @hookimpl
        def datasets(self) -> list[DatasetSpec]:
            return [spec for spec in datasets() if "/" in spec.opens]

    manager.register(Folder(), "folder")
    (here / "d").mkdir()
    with pytest.raises(DataError, match=r"d: no class folders in it; put each file into a folder .* class$"):
        open_dataset("d", manager, CACHE)
    for file in files:
        (here / "d" / file).touch()
    with pytest.raises(DataError) as caught:
        open_dataset("d", manager, CACHE)
    assert str(caught.value).endswith(f"after its class; or name what it holds: --data 'd/{named}'")


class Reader:
    """A plugin with one reader of .json, whose target is of its name."""

    def __init__(self, name: str, looks: str = "") -> None:
        self.name, self.looks = name, f"xm_made_data:{looks}" if looks else ""

    @hookimpl
    def datasets(self) -> list[DatasetSpec]:
        return [DatasetSpec(name=self.name, target="xm_made_data:made", opens=(".json",), looks=self.looks)]


def has_boxes(path: Path) -> bool:
    return b"boxes" in path.read_bytes()


def fails(path: Path) -> bool:
    raise RuntimeError("no luck")


@pytest.fixture
def readers(manager: PluginManager, here: Path) -> PluginManager:
    import sys

    sys.modules["xm_made_data"].__dict__.update(has_boxes=has_boxes, fails=fails)
    manager.register(Reader("first"), "first")
    (here / "plain.json").write_text("{}")
    (here / "boxes.json").write_text('{"boxes": []}')
    return manager


def reader_of(source: str, manager: PluginManager) -> str:
    return _find(source, manager)[0].name


def test_readers_of_a_suffix_are_told_apart_by_looking(readers: PluginManager) -> None:
    readers.register(Reader("second", "has_boxes"), "second")
    assert reader_of("plain.json", readers) == "first"
    assert reader_of("boxes.json", readers) == "second"
    assert open_dataset("boxes.json", readers, CACHE).name.startswith("boxes.json")


def test_readers_that_can_not_be_told_apart_are_named(readers: PluginManager, here: Path) -> None:
    readers.register(Reader("second"), "second")
    with pytest.raises(DataError, match=r"first and second open such files; say which: --data first:plain\.json"):
        open_dataset("plain.json", readers, CACHE)
    assert reader_of("second:plain.json", readers) == "second"
    assert open_dataset("second:plain.json", readers, CACHE).name.startswith("plain.json")
    assert located("second:plain.json", readers) == f"second:{here / 'plain.json'}"
    with pytest.raises(DataError, match=r"plan\.json: no such file or folder; did you mean plain\.json\?"):
        open_dataset("second:plan.json", readers, CACHE)


def test_what_no_reader_knows_is_nobodys(readers: PluginManager) -> None:
    for name in ("second", "third"):
        readers.register(Reader(name, "has_boxes"), name)
    readers.datasets.pop("first")
    with pytest.raises(DataError, match=r"looks like none of what second and third read; name one: --data second:"):
        open_dataset("plain.json", readers, CACHE)


def test_a_look_that_fails_is_the_plugins(readers: PluginManager) -> None:
    readers.register(Reader("second", "fails"), "second")
    with pytest.raises(PluginError, match=r"fails on plain\.json: RuntimeError: no luck"):
        open_dataset("plain.json", readers, CACHE)
