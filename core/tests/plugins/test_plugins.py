"""The plugin manager."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from xm import EncoderSpec, StrategySpec, hookimpl
from xm.foundation.errors import PluginError, UsageError
from xm.plugins import plugin_manager as module
from xm.plugins.hookspecs import Hooks
from xm.plugins.plugin_manager import Plugin, PluginManager


@dataclass
class Distribution:
    name: str = "xm-some"
    version: str = "1.2"


@dataclass
class Entry:
    """An entry point."""

    name: str
    plugin: object
    dist: Distribution | None = None

    def load(self) -> object:
        return self.plugin() if isinstance(self.plugin, type) and issubclass(self.plugin, Raises) else self.plugin


class Raises:
    def __new__(cls) -> Any:
        raise RuntimeError("two\nlines")


class Exits(Raises):
    def __new__(cls) -> Any:
        raise SystemExit(3)


def plugin(**hooks: Callable[..., Any]) -> ModuleType:
    made = ModuleType("made")
    for name, function in hooks.items():
        setattr(made, name, hookimpl(function))
    return made


def unmarked() -> ModuleType:
    made = ModuleType("unmarked")
    vars(made)["encoders"] = list
    return made


def encoder(name: str) -> EncoderSpec:
    return EncoderSpec(name=name, target="nowhere:Nothing", modality="image", suffixes=(f".{name}",))


def fails() -> list[EncoderSpec]:
    raise ValueError("no weights")


def nothing() -> list[EncoderSpec]:
    return []


def takes_too_much(config: object) -> list[EncoderSpec]:
    return []


GOOD = plugin(encoders=lambda: [encoder("good")])
BROKEN = {
    "raises": (Raises, "RuntimeError: two lines"),
    "exits": (Exits, "SystemExit: 3"),
    "hook": (plugin(encoders=fails), "hook encoders: ValueError: no weights"),
    "word": (plugin(encoders=lambda: "text"), "encoders() must return a list, not a str"),
    "number": (plugin(encoders=lambda: 3), "encoders() must return a list, not an int"),
    "single": (plugin(encoders=lambda: encoder("alone")), "encoders() must return a list, not an EncoderSpec"),
    "forgot": (plugin(encoders=lambda: None), "encoders() must return a list, not None"),
    "unmarked": (unmarked(), "has a function named as a hook (encoders) but none marked @hookimpl"),
    "empty": (ModuleType("empty"), "has no function that is marked @hookimpl"),
    "type": (
        plugin(encoders=lambda: [StrategySpec(name="s", target="a:b")]),
        "hook encoders returned a StrategySpec; expected EncoderSpec",
    ),
    "twin": (
        plugin(encoders=lambda: [encoder("good")]),
        "encoder 'good' is already registered by 'good'; choose another name",
    ),
    "signature": (plugin(encoders=takes_too_much), "config"),
    "misnamed": (plugin(encoder=nothing), "unknown hook 'encoder': did you mean 'encoders'?"),
}


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(**found: object) -> None:
        entries = [Entry(name, one, Distribution(f"xm-{name}")) for name, one in found.items()]
        monkeypatch.setattr(module, "entry_points", lambda group: entries)

    monkeypatch.delenv("XM_DISABLE_PLUGINS", raising=False)
    return put


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_told_and_the_rest_goes_on(install: Callable[..., None], name: str) -> None:
    broken, said = BROKEN[name]
    other = plugin(encoders=lambda: [encoder("other")])
    install(**{"good": GOOD, name: broken, "zzz": other})
    manager = PluginManager()
    assert {"good", "other"} == set(manager.encoders)
    by = {found.name: found for found in manager.plugins()}
    assert by["good"].error is None and by["zzz"].error is None
    error = by[name].error
    assert error is not None and said in error and "\n" not in error
    assert (by[name].version, by[name].distribution) == ("1.2", f"xm-{name}")


def test_a_name_stays_with_the_plugin_that_was_found_first(install: Callable[..., None]) -> None:
    install(good=GOOD)
    manager = PluginManager()
    manager.register(plugin(encoders=lambda: [encoder("good"), encoder("own")]), "a-file")
    assert manager.encoders.plugin_of == {"good": "good", "own": "a-file"}
    assert list(manager.encoders) == ["own", "good"]  # by plugin
    assert manager.encoders.left_out == {"good": ["a-file"]}
    assert "choose another name" in str({p.name: p.error for p in manager.plugins()}["a-file"])


def test_a_broken_hook_takes_no_other_hook_of_the_plugin_down(install: Callable[..., None]) -> None:
    half = plugin(encoders=fails, strategies=lambda: [StrategySpec(name="works", target="a:b")])
    install(half=half)
    manager = PluginManager()
    assert "works" in manager.strategies
    assert "no weights" in str({p.name: p.error for p in manager.plugins()}["half"])


def test_hooks_that_come_before_a_wrong_one_are_not_used(install: Callable[..., None]) -> None:
    partly = plugin(aligners=nothing, encoders=lambda: [encoder("ghost")], strategies=takes_too_much)
    install(partly=partly)
    assert not PluginManager().encoders


def test_disabled_plugins(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    install(good=GOOD, other=plugin(encoders=lambda: [encoder("other")]))
    monkeypatch.setenv("XM_DISABLE_PLUGINS", " good ,absent")
    assert set(PluginManager().encoders) == {"other"}
    monkeypatch.setenv("XM_DISABLE_PLUGINS", "all")
    manager = PluginManager()
    assert not manager.encoders and [p.name for p in manager.plugins()] == ["xm"]
    assert {"folder", "manifest"} <= set(manager.datasets)


def test_register_and_unregister() -> None:
    manager = PluginManager(installed=False)
    assert not manager.encoders
    manager.register(GOOD, "good")
    assert manager.encoders.find("good").name == "good" and manager.suffixes() == {".good": "image"}
    assert manager.encoders.plugin_of == {"good": "good"}
    with pytest.raises(PluginError, match="plugin 'good': is registered already"):
        manager.register(GOOD, "good")
    assert "good" in manager.encoders
    with pytest.raises(PluginError, match=r"plugin 'bad': .*config") as caught:
        manager.register(plugin(encoders=takes_too_much), "bad")
    assert "\n" not in str(caught.value)
    manager.unregister("good")
    assert not manager.encoders and Plugin("good") not in manager.plugins()


def test_unknown_names_get_the_nearest() -> None:
    manager = PluginManager(installed=False)
    manager.register(GOOD, "good")
    with pytest.raises(UsageError, match=r"unknown encoder 'god': did you mean 'good'\? \(known: good\)"):
        manager.encoders.find("god")
    with pytest.raises(UsageError, match=r"unknown strategy 'linear'.*\(known: none\)"):
        manager.strategies.find("linear")


def test_of_many_names_the_nearest_are_told() -> None:
    manager = PluginManager(installed=False)
    manager.register(plugin(encoders=lambda: [encoder(f"net-{i}") for i in range(30)]), "many")
    with pytest.raises(UsageError) as caught:
        manager.encoders.find("colours")
    said = str(caught.value)
    assert said.startswith("unknown encoder 'colours' (known: net-") and said.count("net-") == 5
    assert said.endswith(" and 25 more; see: xm plugins list)")


FILE = """
from xm import Encoder, EncoderSpec, hookimpl

@hookimpl
def encoders():
    return [EncoderSpec(name="mine", target="STEM:Mine", modality="smell")]

class Mine:
    def __init__(self, argument=""):
        self.argument = argument
"""


@pytest.fixture
def forget() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.usefixtures("forget")
def test_a_single_file_is_a_plugin(tmp_path: Path) -> None:
    path = tmp_path / "smelling_dogs.py"
    path.write_text(FILE.replace("STEM", path.stem))
    manager = PluginManager(installed=False)
    manager.load_file(path)
    spec = manager.encoders.find("mine")
    assert spec.load()("wet").argument == "wet"
    assert manager.encoders.plugin_of["mine"] == path.stem
    with pytest.raises(PluginError, match=r"plugin 'smelling_dogs': is registered already$"):
        manager.load_file(path)
    other = PluginManager(installed=False)
    other.load_file(path)
    assert "mine" in other.encoders
    twin = tmp_path / "elsewhere" / path.name
    twin.parent.mkdir()
    twin.write_text(path.read_text())
    with pytest.raises(UsageError, match="a module 'smelling_dogs' exists already; give the file another name"):
        PluginManager(installed=False).load_file(twin)


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import xm\n\n1 / 0\n", "line 3: ZeroDivisionError: division by zero"),
        ("import xm\ndef broken(:\n", "line 2: SyntaxError"),
        ("import xm\nimport no_such_package_here\n", "line 2: ModuleNotFoundError: No module named"),
        ("import json\n\njson.loads('{')\n", "line 3: JSONDecodeError"),
        ("x = 1\n\ndef f():\n    raise ValueError('deep')\nf()\n", "line 4: ValueError: deep"),
    ],
)
def test_a_broken_file_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "broken_file_of_mine.py"
    path.write_text(text)
    with pytest.raises(PluginError) as caught:
        PluginManager(installed=False).load_file(path)
    assert f"plugin file {path}, {said}" in str(caught.value) and "\n" not in str(caught.value)
    assert path.stem not in sys.modules


@pytest.mark.usefixtures("forget")
def test_files_that_are_none(tmp_path: Path) -> None:
    manager = PluginManager(installed=False)
    with pytest.raises(UsageError, match=r"--plugin .*gone\.py: no such file"):
        manager.load_file(tmp_path / "gone.py")
    (tmp_path / "json.py").write_text("")
    with pytest.raises(UsageError, match="a module 'json' exists already; give the file another name"):
        manager.load_file(tmp_path / "json.py")
    (tmp_path / "my plugin.txt").write_text("hello")
    with pytest.raises(PluginError, match="not a Python file"):
        manager.load_file(tmp_path / "my plugin.txt")


def test_every_hook_has_a_registry() -> None:
    hooks = {name for name in vars(Hooks) if not name.startswith("_")}
    manager = PluginManager(installed=False)
    assert hooks == set(module.KINDS)
    assert all(hasattr(getattr(manager, hook), "find") for hook in hooks)


def test_looking_plugins_up_imports_nothing_heavy() -> None:
    code = """
import sys, xm
from xm.plugins.plugin_manager import manager
found = manager()
found.plugins()
assert all([found.encoders, found.strategies, found.datasets, found.predictors])
print(*[m for m in ("torch", "numpy", "pydantic", "sklearn", "PIL", "safetensors") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr or done.stdout


def test_xm_gives_its_names_lazily() -> None:
    import xm

    assert xm.train.__module__ == "xm.experiment.training"
    assert all(hasattr(xm, name) for name in xm.__all__)
    assert set(xm.__all__) <= set(dir(xm))
    with pytest.raises(AttributeError, match="xm attribute trian"):
        _ = xm.trian
