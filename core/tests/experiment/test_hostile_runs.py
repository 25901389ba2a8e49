"""Run folders that someone made to do harm, or that are damaged: one line, and nothing outside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile import FILES, TENSORS, changed, link_out, write
from hypothesis import HealthCheck, given, settings, strategies as st

import xm
from xm.evaluation.report import Report
from xm.experiment.starting import Starts
from xm.foundation.errors import RunError, XMError
from xm.plugins.plugin_manager import PluginManager

QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def trained(run: Callable[..., Report], toy: Any, home: Path) -> Path:
    """A folder with `run`, trained once, and its data."""
    if not (home / "run").exists():
        table = toy.write_table(home / "data")
        run(aux=("text", "audio"), data=str(table), centre="unlabelled", unlabelled="rest", out=home / "run")
    return home


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Callable[[], Path]:
    """Another copy of the run each time."""

    def make() -> Path:
        folder = tmp_path / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        return Path(shutil.copytree(trained / "run", folder))

    return make


def use(folder: Path, plugins: PluginManager, data: Path) -> None:
    """All that a run folder is opened for; none but xm's own errors may come, in one line."""
    given = [data / "images" / "cat" / "9.toy", data / "sounds" / "dog" / "1.snd"]
    try:
        run = xm.load(folder, plugins=plugins, device="cpu")
        for result in run.results:
            predictions = run.predict(given, pick=result.model)
            assert all(0 <= p <= 1.0001 for prediction in predictions for p in prediction.probabilities.values())
        run.evaluate()
        Starts.open([folder], plugins, "cpu", data).keys()
    except XMError as error:
        assert "\n" not in str(error), str(error)


@QUICK
@given(data=st.data())
def test_an_index_of_other_values(
    data: st.DataObject, copy: Callable[[], Path], trained: Path, plugins: PluginManager
) -> None:
    folder = copy()
    write(folder / "xm.json", data.draw(changed(json.loads((folder / "xm.json").read_text()))))
    use(folder, plugins, trained / "data")


@pytest.mark.parametrize("change", [*FILES, *TENSORS.values()], ids=[*(f.__name__ for f in FILES), *TENSORS])
def test_files_of_another_content(
    change: Callable[[Path], None], copy: Callable[[], Path], trained: Path, plugins: PluginManager
) -> None:
    for path in sorted(copy().rglob("*")):
        if path.is_file() and (change in FILES or path.suffix == ".safetensors"):
            folder = copy()
            change(path)
            use(folder, plugins, trained / "data")


def test_links_out(copy: Callable[[], Path], trained: Path, plugins: PluginManager) -> None:
    for path in sorted(copy().rglob("*")):
        if path.suffix == ".safetensors" and path.name != "tested.safetensors":
            folder = copy()
            link_out(path)
            with pytest.raises(RunError, match="leads out of it"):
                run = xm.load(folder, plugins=plugins, device="cpu")
                for result in run.results:
                    run.predict([trained / "data" / "sounds" / "dog" / "1.snd"], pick=result.model)
                Starts.open([folder], plugins, "cpu", trained).keys()


@pytest.mark.parametrize("place", ["../../..", "/etc", "..", "a/../../b", "\0"])
def test_a_model_elsewhere(place: str, copy: Callable[[], Path], plugins: PluginManager) -> None:
    folder = copy()
    index = json.loads((folder / "xm.json").read_text())
    index["results"][0]["model"] = place
    write(folder / "xm.json", index)
    with pytest.raises(RunError, match=r"leads out of it|is no path"):
        xm.load(folder, plugins=plugins)
