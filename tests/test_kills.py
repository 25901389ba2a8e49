"""`xm train` and `xm bench` are killed, and the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.whole,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals"),
]

WAITS = '''
import os, sys, time
from pathlib import Path
from xm import StrategySpec, hookimpl
from xm.learning import LinearProbe

class Waits(LinearProbe):
    """A linear probe that says what it fits, and then waits to be killed."""

    def build(self, context):
        fitted = Path(f"fitted-{os.environ.get('RANK', 0)}")
        fitted.with_name(f"process-{fitted.name}").write_text(str(os.getpid()))
        with fitted.open("a") as file:
            file.write(f"{'+'.join(context.train)} {len(context.train[context.target])} {context.seed}\\n")
        while len(fitted.read_text().splitlines()) > int(os.environ.get("WAIT_AFTER", 99)):
            time.sleep(0.1)
        return super().build(context)

@hookimpl
def strategies():
    return [StrategySpec(name="waits", target="waits:Waits")]
'''
WORDS = ("--plugin", "waits.py", "train", "--modality", "image", "--aux", "text", "--strategy", "waits")
CELLS = ("--no-baselines", "--shots", "1,2", "--seeds", "1,2")
TOTAL, SEEDS, KILLED_AFTER = 2 * 2 * 2, 2, 3
"""Cells; one more fit a seed says what the pairs' labels are worth."""


def program(*words: str, processes: int = 1) -> list[str]:
    if processes == 1:
        return [sys.executable, "-m", "xm_cli", *words]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    return [*torchrun, "--master-port", "29613", "-m", "xm_cli", *words]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "waits.py").write_text(WAITS)
    return tmp_path


@pytest.fixture
def finished(folder: Path) -> Callable[..., Any]:
    """Run a command to its end: what it printed."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            program(*words), cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=250
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def killed(folder: Path) -> Callable[..., None]:
    """Run a command, and kill it, with all that it started, while it fits the cell after so many."""

    def run(*words: str, cells: int = KILLED_AFTER, processes: int = 1) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "WAIT_AFTER": str(cells)}
        running = subprocess.Popen(program(*words, processes=processes), cwd=folder, env=environment)
        try:
            until = time.monotonic() + 250
            while any(len(lines(folder, rank)) <= cells for rank in range(processes)):
                assert running.poll() is None and time.monotonic() < until
                time.sleep(0.05)
        finally:
            for process in (running.pid, *(int(path.read_text()) for path in folder.glob("process-*"))):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            running.wait()

    return run


def lines(folder: Path, rank: int = 0) -> list[str]:
    """What was fitted."""
    path = folder / f"fitted-{rank}"
    return path.read_text().splitlines() if path.exists() else []


def same(one: Path, other: Path) -> bool:
    """Whether two runs are the same, file by file, but for seconds, events and their own names."""
    files = [
        {p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*") if p.is_file()} for run in (one, other)
    ]
    indices = []
    for found in files:
        found.pop("events.jsonl")
        index = json.loads(found.pop("xm.json"))
        for result in index["results"]:
            result.pop("seconds")
        index["settings"].pop("out")
        indices.append({name: value for name, value in index.items() if name not in ("created", "run")})
    return files[0] == files[1] and indices[0] == indices[1]


def test_a_killed_training_goes_on(finished: Any, killed: Any, folder: Path) -> None:
    killed(*WORDS, *CELLS, "--out", "run")
    [partial] = [path for path in folder.glob(".run.*") if path.is_dir()]
    cells = sorted(path.parent for path in (partial / ".kept").rglob("results.json"))
    assert len(cells) == KILLED_AFTER and len(lines(folder)) == KILLED_AFTER + 1
    models = [partial / cell.relative_to(partial / ".kept") / "model.safetensors" for cell in cells]
    written = {path.relative_to(partial): path.stat().st_mtime_ns for path in models}
    cut = models[-1]
    cut.write_bytes(cut.read_bytes()[:100])  # as if it had been killed while it wrote that
    done = finished(*WORDS, *CELLS, "--out", "run")
    assert f"going on: {KILLED_AFTER - 1} of {TOTAL} cells are there" in done.stderr.splitlines()
    assert f"{cut.parent.relative_to(folder)}: damaged" in done.stderr and "Traceback" not in done.stderr
    again = len(lines(folder)) - TOTAL - SEEDS
    assert again == 2, "the one at hand, and the one that was cut short"
    for name, when in written.items():
        assert ((folder / "run" / name).stat().st_mtime_ns == when) == (name != cut.relative_to(partial))
    assert not list(folder.glob(".run*"))
    finished(*WORDS, *CELLS, "--out", "whole")
    assert same(folder / "run", folder / "whole")


def test_a_killed_training_of_two_processes_goes_on_in_one(finished: Any, killed: Any, folder: Path) -> None:
    killed(*WORDS, *CELLS, "--out", "run", cells=1, processes=2)
    done = finished(*WORDS, *CELLS, "--out", "run")
    assert f"going on: 2 of {TOTAL} cells are there" in done.stderr.splitlines()
    finished(*WORDS, *CELLS, "--out", "whole")
    assert same(folder / "run", folder / "whole")


def test_a_killed_benchmark_goes_on(finished: Any, killed: Any, folder: Path) -> None:
    words = ("--plugin", "waits.py", "bench", "caltech-101", "--data", "digits", "--strategies", "linear,waits")
    words = (*words, "--shots", "1,2", "--seeds", "1")
    killed(*words, "--out", "runs", cells=1)
    index = folder / "runs" / "linear" / "xm.json"
    written = index.stat().st_mtime_ns
    done = finished(*words, "--out", "runs")
    assert "going on: 1 of 4 cells are there" in done.stderr.splitlines()
    assert index.stat().st_mtime_ns == written and len(lines(folder)) == 4 + 1 + 1
    finished(*words, "--out", "whole")
    assert all(same(folder / "runs" / name, folder / "whole" / name) for name in ("linear", "waits"))
