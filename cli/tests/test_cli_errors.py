"""Commands of plugins, and how errors end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xm_cli.main import EXIT_CODES, explain

Xm = Callable[..., Any]
Process = Callable[..., subprocess.CompletedProcess[str]]


def test_commands_of_plugins_are_listed_without_importing_them(xm: Xm) -> None:
    done = xm("--help")
    assert done.exit_code == 0
    assert "toy-absent" in done.stdout
    assert "Its module is missing." in done.stdout
    assert re.search(r"toys +Play with toys\.", done.stdout)
    assert "Takes the name" not in done.stdout  # xm's own train stays
    assert " ".join(done.stdout.split()).endswith(EXIT_CODES)


def test_commands_of_plugins_run(xm: Xm) -> None:
    assert xm("toy-hello").stdout == "hello from the toy plugin\n"
    assert xm("data", "toy-count").stdout == "hello from the toy plugin\n"
    assert xm("toys", "toy-new").stdout == "hello from the toy plugin\n"
    assert "Say hello." in xm("toy-hello", "--help").stdout


@pytest.mark.parametrize(
    ("args", "code", "expected"),
    [
        (["trian"], 2, "error: unknown command 'trian': did you mean 'train'?"),
        (["plugins", "lst"], 2, "error: unknown plugins command 'lst': did you mean 'list'?"),
        (["--debg"], 2, "error: No such option: --debg; did you mean --debug? (see xm --help)"),
        (["predict"], 2, "error: Missing argument 'RUN' (see xm predict --help)"),
        (
            ["toy-absent"],
            4,
            "error: command 'toy-absent' (plugin toy_plugin): target 'no_such_module:command' does not import",
        ),
        (
            ["toy-number"],
            4,
            "error: command 'toy-number' (plugin toy_plugin): toy_plugin:NO_COMMAND is not a function with Typer",
        ),
        (
            ["toy-fail"],
            4,
            "error: command 'toy-fail' (plugin toy_plugin): ZeroDivisionError: a bug in two lines; this is a fault of",
        ),
        (["train", "photos", "-m", "word"], 2, "error: 'photos' has no flag before it: name data with --data photos ("),
        (["--plugin", "nope.py", "doctor"], 2, "error: --plugin nope.py: no such file"),
    ],
    ids=str,
)
def test_an_error_is_one_line(args: list[str], code: int, expected: str, xm: Xm) -> None:
    done = xm(*args)
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith(expected)
    assert len(done.stderr.splitlines()) == 1


def test_debug_shows_the_traceback(xm: Xm) -> None:
    done = xm("--debug", "toy-fail")
    assert done.exit_code == 4
    assert "Traceback" in done.stderr
    assert "toy_plugin.py" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: command 'toy-fail' (plugin toy_plugin): ZeroDivisionError")


def test_interruption_ends_with_130(process: Process) -> None:
    done = process("toy-interrupt")
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    done = process("toys", "toy-break")
    assert (done.returncode, done.stderr) == (130, "interrupted; half a toy was kept\n")


SLOW = """
import sys, time
from xm import StrategySpec, hookimpl
from xm.learning import LinearProbe

class Slow(LinearProbe):
    def build(self, context):
        if context.seed == 1:
            return super().build(context)
        print("building", file=sys.stderr, flush=True)
        time.sleep(60)

@hookimpl
def strategies():
    return [StrategySpec(name="slow", target="slow_strategy:Slow")]
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("sent", "code", "seeds", "line"),
    [
        (signal.SIGINT, 130, "2", "interrupted; nothing was kept\n"),
        (signal.SIGTERM, 143, "2", "terminated; nothing was kept\n"),
        (signal.SIGINT, 130, "1,2", "interrupted; 1 finished cell is kept, and the same command goes on from there\n"),
    ],
    ids=["Ctrl-C", "SIGTERM", "Ctrl-C after a cell"],
)
def test_what_an_interrupted_training_leaves(
    toy: list[str], tmp_path: Path, sent: signal.Signals, code: int, seeds: str, line: str
) -> None:
    (tmp_path / "slow_strategy.py").write_text(SLOW)
    options = ("--data", "toys", "-m", "word", "--shots", "1", "--seeds", seeds, "--strategy", "slow", "--no-baselines")
    command = [sys.executable, "-m", "xm_cli", *toy, "--plugin", "slow_strategy.py", "train", *options, "--out", "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert any(said == "building\n" for said in running.stderr)
        assert list(tmp_path.glob(".run.*"))
        running.send_signal(sent)
        assert (running.wait(30), running.stderr.read()) == (code, line)
    assert len(list(tmp_path.glob("*run*"))) == ("finished" in line)


def test_a_closed_pipe_is_quiet(toy: list[str]) -> None:
    command = [sys.executable, "-m", "xm_cli", *toy, "plugins", "list"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


def test_a_file_that_cannot_be_written_is_named() -> None:
    error = PermissionError(13, "Permission denied", "/root/run")
    assert explain(error) == (3, "error: /root/run: Permission denied")


def test_version_and_module(process: Process) -> None:
    done = process("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("xm ")


def test_no_arguments_show_help(xm: Xm, toy: list[str]) -> None:
    toy.clear()
    done = xm()
    assert done.exit_code == 0
    assert done.stdout.startswith("Usage: xm ")


def test_exit_codes_are_in_the_readme() -> None:
    readme = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    for code in (0, 1, 2, 3, 4, 5, 130, 141, 143):
        assert f"\n| {code} | " in readme
