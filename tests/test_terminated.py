"""SIGTERM ends a command, whatever it is in, and what is unfinished is taken away where Python can."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.whole,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals"),
]

BUSY = '''
import time
from pathlib import Path
import torch
from xm import StrategySpec, hookimpl
from xm.foundation import spread
from xm.learning import LinearProbe

class Threads(LinearProbe):
    """Computes for minutes in threads."""

    def build(self, context):
        Path("busy").touch()
        spread(lambda _: time.sleep(250), range(4))
        return super().build(context)

class Deep(LinearProbe):
    """Computes for minutes in one operation."""

    def build(self, context):
        matrix = torch.rand(6000, 6000, dtype=torch.float64)
        Path("busy").touch()
        torch.linalg.eig(matrix)
        return super().build(context)

@hookimpl
def strategies():
    return [StrategySpec(name="in-threads", target="busy:Threads"), StrategySpec(name="deep", target="busy:Deep")]
'''


@pytest.mark.parametrize("strategy", ["in-threads", "deep"])
def test_it_ends(strategy: str, tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(BUSY)
    words = ("--plugin", "busy.py", "train", "--modality", "image", "--aux", "text", "--strategy", strategy)
    command = [sys.executable, "-m", "xm_cli", *words, "--shots", "1", "--seeds", "1", "--out", "run"]
    running = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 200
    while not (tmp_path / "busy").exists():
        assert running.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.5)
    running.send_signal(signal.SIGTERM)
    said = running.communicate(timeout=100)[1]
    assert running.returncode == 143
    assert said.splitlines()[-1].startswith("terminated") and "Traceback" not in said
    assert not (tmp_path / "run").exists()
    if strategy == "in-threads":
        assert not list(tmp_path.glob(".run*"))
