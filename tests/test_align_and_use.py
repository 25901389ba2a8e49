"""Encoders that share no space, from pairs to search: align, index scans, ask by sounds, train, evaluate, predict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.whole]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the digits as files, and an alignment of sounds with scans."""
    folder = tmp_path_factory.mktemp("aligned")
    xm(folder, "digits", "data")
    xm(
        folder,
        "align",
        "--anchor",
        "image",
        "--new",
        "audio,text",
        "--aligner",
        "cca",
        "--holdout",
        "0",
        "--out",
        "heard",
    )
    return folder


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xm_cli", *words]
    environment = {**os.environ, "XM_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def xm(folder: Path, *words: str) -> str:
    done = run(folder, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_scans_are_found_by_sounds_and_words(place: Path) -> None:
    """Of ten digits, the one that is said: far more often than by chance, among what was not aligned with."""
    build = ("search", "build", "data/test", "--modality", "image", "--image-encoder", "pixels", "--out", "scans.index")
    assert "space pixels-8x8" in xm(place, *build)
    sounds = sorted(str(path.relative_to(place)) for path in (place / "data/test/audio").glob("*/00[0-4].wav"))
    find = ("search", "find", "scans.index", "--audio-encoder", "heard", "-k", "5", "--json")
    answers = [json.loads(line) for line in xm(place, *find, *sounds).splitlines()]
    assert len(answers) == 50
    hits = [Path(r["item"]).parent.name == Path(a["query"]).parent.name for a in answers for r in a["results"]]
    assert sum(hits) / len(hits) > 0.4
    asked = ("search", "find", "scans.index", "--text-encoder", "heard", "-k", "5", "--json", "zero", "three", "six")
    answers = [json.loads(line) for line in xm(place, *asked).splitlines()]
    hits = [Path(r["item"]).parent.name == a["query"] for a in answers for r in a["results"]]
    assert sum(hits) / len(hits) > 0.4


def test_other_spaces_are_refused_with_the_way_out(place: Path) -> None:
    xm(place, "search", "build", "data/val", "--modality", "image", "--image-encoder", "pixels", "--out", "val.index")
    sound = str(next((place / "data/test/audio").glob("*/*.wav")).relative_to(place))
    done = run(place, "search", "find", "val.index", sound)
    assert done.returncode == 2
    assert "xm align --anchor image --new audio --pairs FILE --out runs/align" in done.stderr.splitlines()[-1]
    done = run(place, "train", "--modality", "image", "--aux", "audio", "--data", "data", "--encoder", "image=pixels")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("xm align --anchor image --new audio --pairs FILE")


def test_it_trains_evaluates_and_predicts(place: Path) -> None:
    """On files, without pairs: what a saved alignment is for."""
    given = (
        "--data",
        "data",
        "--encoder",
        "image=pixels",
        "--audio-encoder",
        "heard",
        "--shots",
        "1",
        "--seeds",
        "1,2",
    )
    xm(place, "train", "--modality", "image", "--aux", "audio", *given, "--out", "trained")
    index = json.loads((place / "trained/xm.json").read_text())
    means = {tuple(s["aux"]): s["mean"] for s in index["summary"] if s["strategy"] == "linear"}
    assert means["audio",] > means[()], "sounds do not help one scan a class"
    again = json.loads(xm(place, "eval", "trained", "--all", "--json"))
    assert [r["value"] for r in again["results"]] == [r["value"] for r in index["results"]]
    predicted = xm(place, "predict", "trained", "data/test/audio/two/000.wav")
    assert "data/test/audio/two/000.wav" in predicted
