"""Notes, warnings and progress bars."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys

import pytest

from xm.foundation import Event
from xm_cli.progress import Teller


def test_warnings_are_told_once_from_events_and_loggers(capsys: pytest.CaptureFixture[str]) -> None:
    with Teller() as teller:
        teller(Event("note", {"message": "a [bold]note"}))
        teller(Event("warning", {"message": "watch out"}))
        teller(Event("warning", {"message": "watch out"}))
        logging.getLogger("xm.data").warning("watch %s", "out")
        logging.getLogger("xm.data").warning("another")
        logging.getLogger("xm.data").info("not told")
        teller(Event("embed", {"done": 1, "total": 2, "modality": "word"}))
    logging.getLogger("xm.data").info("after")
    captured = capsys.readouterr()
    assert captured.err == "a [bold]note\nwarning: watch out\nwarning: another\n"
    assert captured.out == ""


def test_notes_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with Teller(notes=False) as teller:
        teller(Event("note", {"message": "a note"}))
        teller(Event("warning", {"message": "watch out"}))
    assert capsys.readouterr().err == "warning: watch out\n"


def test_bars_appear_on_a_terminal_and_json_stays_alone_on_standard_output(toy: list[str]) -> None:
    ours, theirs = pty.openpty()
    args = ["train", "-m", "word", "--data", "toys", "--shots", "1", "--seeds", "1", "--json"]
    command = [sys.executable, "-m", "xm_cli", *toy, *args]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=env) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux: the other side is closed
                break
            if not part:
                break
            shown += part
        assert running.stdout is not None
        out = running.stdout.read()
    os.close(ours)
    assert running.returncode == 0, shown
    assert b"fit and test" in shown
    assert b"Toys are words and signs." in shown
    assert json.loads(out)["results"]
