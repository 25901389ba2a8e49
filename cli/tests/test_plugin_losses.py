"""What a plugin that fails costs: an item, a tracker, a name; the rest goes on, and a line says whose it was."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from failing_plugins import HEAD, TRAIN

Xm = Callable[..., Any]

SEEING = """
from xm.data import seen, VIEWS

class Seeing(Words):
    suffixes, views = (), VIEWS
    def __init__(self, argument): pass
    def fingerprint(self): return "seeing"
    def read(self, item):
        return seen("word", super().read(item.item), item) if isinstance(item, View) else super().read(item)

def Bad(word, view):
    if word.startswith("{start}"):
        raise ValueError("odd")
    return word

@hookimpl
def encoders():
    return [EncoderSpec(name="seeing", target="broken:Seeing", modality="word")]

@hookimpl
def views():
    return [ViewSpec(name="bad", target="broken:Bad", modality="word")]
"""


@pytest.mark.parametrize(("start", "items"), [("apple", 1), ("", 3)])
def test_a_view_that_fails_costs_its_items(xm: Xm, options: list[str], tmp_path: Path, start: str, items: int) -> None:
    (tmp_path / "broken.py").write_text(HEAD + SEEING.replace("{start}", start))
    options += ["--plugin", "broken.py"]
    done = xm(*TRAIN, "--word-encoder", "seeing", "--views", "bad")
    left = [line for line in done.stderr.splitlines() if line.startswith("warning: left out")]
    assert len(left) == items and all("view 'bad' (plugin broken 1.2): ValueError: odd" in line for line in left)
    assert done.exit_code == 0 and "Traceback" not in done.stderr


def test_an_item_that_an_encoder_fails_on_costs_itself_alone(xm: Xm, options: list[str], tmp_path: Path) -> None:
    """Read ahead in threads; also in `xm embed` and `xm predict`, where the others are told as ever."""
    code = """
class Bad(Words, Preparing):
    suffixes = (".odd",)
    def __init__(self, argument): pass
    def fingerprint(self): return "odd"
    def prepare(self, item):
        word = self.read(item)
        return [].pop() if word == "housesong" else word
    def compute(self, ready): return super().trunk(ready)

@hookimpl
def encoders():
    return [EncoderSpec(name="bad", target="broken:Bad", modality="word", suffixes=(".odd",))]
"""
    (tmp_path / "broken.py").write_text(f"{HEAD}\nfrom xm.encoders import Preparing\n{code}")
    options += ["--plugin", "broken.py"]
    said = "encoder 'bad' (plugin broken 1.2): IndexError: pop from empty list"
    done = xm("embed", "toys", "--modality", "word", "--word-encoder", "bad", "--out", "bank.safetensors")
    assert done.exit_code == 0 and done.stderr.count(said) == 1 and f"housesong: {said}" in done.stderr
    done = xm(*TRAIN, "--word-encoder", "bad")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count(f"warning: left out: housesong: {said}") == 1
    done = xm("predict", "run", "--text", "appletree", "--text", "housesong")
    assert done.exit_code == 3 and re.search(r"^appletree +apple \d", done.stdout, re.MULTILINE)
    assert f"warning: housesong: {said}" in done.stderr


def test_a_tracker_that_fails_is_dropped_and_the_run_is_kept(xm: Xm, options: list[str], tmp_path: Path) -> None:
    code = """
def Bad(run): return lambda event: 1 / 0 if event.kind == "cell" else None

@hookimpl
def trackers():
    return [TrackerSpec(name="bad", target="broken:Bad")]
"""
    (tmp_path / "broken.py").write_text(HEAD + code)
    options += ["--plugin", "broken.py"]
    done = xm(*TRAIN, "--tracker", "bad")
    assert done.exit_code == 0 and (tmp_path / "run" / "xm.json").exists()
    warned = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert warned == [
        "warning: tracker 'bad' (plugin broken 1.2): ZeroDivisionError: division by zero; it is left out from here on, "
        "and the run goes on"
    ]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ('name="train"', "command 'train': xm train is a command of the program itself; choose another name"),
        ('name="plugins"', "command 'plugins': xm plugins is a command of the program itself"),
        ('name="show", group="data"', "command 'show': xm data show is a command of the program itself"),
        ('name="mine", group="predict"', "command 'mine': its group 'predict' is a command of the program itself"),
        ('name="mine", group="a b"', "command 'mine': its group 'a b' has a space in it"),
    ],
)
def test_commands_of_the_program_are_its_own(xm: Xm, options: list[str], tmp_path: Path, spec: str, said: str) -> None:
    code = f"\n\n@hookimpl\ndef commands():\n    return [CommandSpec({spec}, target='broken:boom')]\n"
    (tmp_path / "broken.py").write_text(HEAD + code)
    options += ["--plugin", "broken.py"]
    done = xm("data", "show", "toys")
    assert done.exit_code == 0 and f"warning: plugin 'broken' is left out: {said}" in done.stderr
    assert xm("plugins", "list").exit_code == 0


def test_data_of_a_plugin_that_is_gone_are_told_with_it(xm: Xm, toy: list[str], run_folder: Path) -> None:
    toy.clear()
    done = xm("eval", run_folder)
    assert done.exit_code == 4
    assert done.stderr == (
        f"error: {run_folder}: was made with dataset 'toys', which no plugin has here; type: "
        f"xm --plugin FILE eval {run_folder} …, with the file that has it\n"
    )
