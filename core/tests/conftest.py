"""A fake plugin, its data, and a plugin manager that knows nothing else but three real plugins."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from xm.evaluation.report import Report
from xm.experiment.training import train
from xm.foundation.events import Event
from xm.plugins.plugin_manager import PluginManager
from xm.testing import installed


@pytest.fixture(scope="session")
def toy() -> Any:
    """The module of the fake plugin, under the name that its targets use."""
    if known := sys.modules.get("xm_toy"):  # another file of tests, in the same process, made it
        return known
    spec = importlib.util.spec_from_file_location("xm_toy", Path(__file__).with_name("xm_toy.py"))
    assert spec is not None and spec.loader is not None
    module = sys.modules["xm_toy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def plugins(toy: Any) -> PluginManager:
    """The fake plugin, `linear`, `zero-shot` and `ridge`."""
    manager = PluginManager(installed=False)
    manager.register(toy, "toy")
    for name in ("linear", "zero-shot", "ridge"):
        manager.register(installed(name), name)
    return manager


@pytest.fixture
def images(toy: Any, tmp_path: Path) -> Path:
    """A folder of five classes with twelve files each."""
    made: Path = toy.write_folder(tmp_path / "images")
    return made


@pytest.fixture
def table(toy: Any, tmp_path: Path) -> Path:
    """A table of images, sounds, and pairs of them."""
    made: Path = toy.write_table(tmp_path / "task")
    return made


@pytest.fixture
def events() -> list[Event]:
    """What `run` heard."""
    return []


@pytest.fixture
def run(plugins: PluginManager, events: list[Event], tmp_path: Path) -> Iterator[Callable[..., Report]]:
    """`xm.train` on the fake plugin: 1 shot, seed 1, below tmp_path / "runs"."""
    counter = iter(range(100))

    def call(modality: str = "image", **settings: Any) -> Report:
        given = {
            "shots": (1,),
            "seeds": (1,),
            "out": tmp_path / "runs" / str(next(counter)),
            "cache": tmp_path / "cache",
            "device": "cpu",
        }
        return train(modality, listener=events.append, plugins=plugins, **{**given, **settings})

    yield call


@pytest.fixture
def warnings(events: list[Event], caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """All that was warned of: by events, and by the loggers of xm."""

    def heard() -> list[str]:
        logged = [r.getMessage() for r in caplog.records if r.name.startswith("xm") and r.levelname == "WARNING"]
        return logged + [str(event.data["message"]) for event in events if event.kind == "warning"]

    return heard
