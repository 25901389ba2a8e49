"""The examples run and say what they should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, folder: Path, *arguments: str) -> str:
    """What an example prints; it is run in a folder of its own."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def percents(text: str, row: str) -> list[float]:
    """The figures on the lines that start so."""
    return [float(value) for value in re.findall(rf"^{row}.*?([\d.]+) %", text, re.MULTILINE)]


@pytest.mark.slow
@pytest.mark.whole
def test_digits(tmp_path: Path) -> None:
    printed = run("digits.py", tmp_path, "--out", str(tmp_path / "run"))
    [alone] = percents(printed, r"image +linear")
    [both] = percents(printed, r"image \+ text \+ audio +linear")
    assert both > alone > 50
    assert percents(printed, r"text \+ audio +zero-shot")
    assert (tmp_path / "run" / "xm.json").is_file()


@pytest.mark.whole
def test_own_folder(tmp_path: Path) -> None:
    printed = run("own_folder.py", tmp_path)
    [accuracy] = percents(printed, "4 shots: ")
    assert accuracy > 80
    assert "new.png: cross" in printed
    assert not any(tmp_path.iterdir()), "the example leaves files behind"


@pytest.mark.whole
def test_own_strategy(tmp_path: Path) -> None:
    printed = run("own_strategy.py", tmp_path)
    assert len(percents(printed, "linear ")) == 2
    alone, helped = percents(printed, "least-squares ")
    assert helped > alone > 50
    assert not any(tmp_path.iterdir()), "the example leaves files behind"


@pytest.mark.whole
def test_align(tmp_path: Path) -> None:
    printed = run("aligned_encoder.py", tmp_path)
    found = re.search(r"median rank of \d+: ([\d.]+) before, ([\d.]+) after", printed)
    assert found and float(found[2]) < float(found[1])
    assert "audio is in the space pixels-8x8 now, of 64 dimensions" in printed
    [alone], [both] = percents(printed, r"image +linear"), percents(printed, r"image \+ audio +linear")
    assert both > alone > 40
    assert not any(tmp_path.iterdir()), "the example leaves files behind"


def test_every_example_is_run_and_short() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'run("{path.name}"' in here, f"no test runs {path.name}"
        assert len(path.read_text(encoding="utf-8").splitlines()) < 60
