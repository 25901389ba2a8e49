"""What earlier versions wrote loads for ever, and says what it said then: tests/fixtures/README.md."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import xm
from xm.testing import installed

FIXTURES = sorted(path.parent for path in Path(__file__).parent.glob("fixtures/*/expected.json"))
CLOSE = 1e-4
"""How far probabilities, vectors and scores may be from what they were."""

pytestmark = pytest.mark.whole


@dataclass(frozen=True)
class Fixture:
    """A copy of a folder that some commit wrote, and what its code said of it."""

    folder: Path
    expected: dict[str, Any]

    def xm(self, *words: str) -> str:
        """What a command prints, run in the folder."""
        command = [sys.executable, "-m", "xm_cli", *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(params=FIXTURES, ids=lambda path: path.name)
def fixture(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fixture:
    """The working folder, with an empty cache and no XM_ variables."""
    folder = shutil.copytree(request.param, tmp_path / "fixture")
    for name in [name for name in os.environ if name.startswith("XM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(folder)
    return Fixture(folder, json.loads((folder / "expected.json").read_text(encoding="utf-8")))


def test_there_are_fixtures() -> None:
    assert "96375b1" in [path.name for path in FIXTURES]


def test_a_run_knows_its_results(fixture: Fixture) -> None:
    expected, run = fixture.expected["run"], xm.load("run", device="cpu")
    assert (run.target, list(run.classes), run.pick().model) == tuple(
        expected[key] for key in ("target", "classes", "picked")
    )
    found = [
        {"model": r.model, "strategy": r.strategy, "aux": list(r.aux), "shots": r.shots, "value": r.value}
        for r in run.results
    ]
    assert found == expected["results"]


def test_a_run_predicts(fixture: Fixture) -> None:
    """Items of both modalities, by each of its models."""
    run = xm.load("run", device="cpu")
    for model, predictions in fixture.expected["run"]["predictions"].items():
        found = run.predict([Path(p["item"]) for p in predictions], pick=model)
        assert [p.label for p in found] == [p["label"] for p in predictions]
        for one, then in zip(found, predictions, strict=True):
            assert one.probabilities == pytest.approx(then["probabilities"], abs=CLOSE), f"{model}: {one.item}"


def test_a_run_predicts_from_the_command_line(fixture: Fixture) -> None:
    expected = fixture.expected["run"]
    then = expected["predictions"][expected["picked"]]
    told = json.loads(fixture.xm("predict", "run", *(p["item"] for p in then), "--device", "cpu", "--json"))
    assert told["model"] == expected["picked"]
    assert [(p["item"], p["label"]) for p in told["predictions"]] == [(p["item"], p["label"]) for p in then]


def test_a_run_is_scored_again(fixture: Fixture) -> None:
    run = xm.load("run", device="cpu")
    for model, then in fixture.expected["run"]["evaluated"].items():
        found = run.evaluate("data/items.csv", pick=model)
        assert {"metric": found.metric, "value": found.value, "n": found.n} == then, model


def test_an_alignment_is_an_encoder(fixture: Fixture, tmp_path: Path) -> None:
    """Of vectors that are what they were; and for training."""
    path = tmp_path / "aligned.safetensors"
    xm.embed("data/items.csv", path, modalities=("audio",), encoders={"audio": "alignment"}, device="cpu")
    bank = xm.Bank(path)
    [vectors] = bank.stream("test", "audio").x.values()
    by_item = {row["item"]: vector for row, vector in zip(bank.rows["test_audio"], vectors, strict=True)}
    for item, vector in fixture.expected["alignment"].items():
        assert by_item[item].tolist() == pytest.approx(vector, abs=CLOSE), item
    given: dict[str, Any] = {"data": "data/items.csv", "encoders": {"image": "alignment", "audio": "alignment"}}
    report = xm.train("image", aux=["audio"], shots=[1], seeds=[1], device="cpu", out=tmp_path / "run", **given)
    assert {result.n for result in report.results} == {6}


def test_a_bank_opens(fixture: Fixture) -> None:
    expected, bank = fixture.expected["bank"], xm.Bank(Path("bank.safetensors"))
    assert list(bank.classes) == expected["classes"]
    assert bank.names == list(expected["arrays"])
    for name, then in expected["arrays"].items():
        split, modality = name.split("_")
        stream = bank.stream(split, modality)
        [vectors] = stream.x.values()
        assert list(vectors.shape) == then["shape"], name
        assert stream.labels.tolist() == then["labels"], name
        assert bank.rows[name] == then["rows"], name
        assert vectors[0].tolist() == pytest.approx(then["first"], abs=CLOSE), name


def test_a_bank_is_trained_on(fixture: Fixture, tmp_path: Path) -> None:
    """With its splits and pairs; and what comes of it predicts files, by the encoders that made the bank."""
    given: dict[str, Any] = {"data": "bank.safetensors", "aligner": "ridge", "device": "cpu", "out": tmp_path / "run"}
    report = xm.train("image", aux=["audio"], shots=[2], seeds=[1], **given)
    assert {result.n for result in report.results} == {fixture.expected["bank"]["arrays"]["test_image"]["shape"][0]}
    files = [Path(p["item"]) for p in next(iter(fixture.expected["run"]["predictions"].values()))]
    assert all(p.error is None for p in xm.load(report.run, device="cpu").predict(files))


def test_an_index_is_asked(fixture: Fixture) -> None:
    """By a picture, and by a sound through the alignment."""
    installed("search")
    expected = fixture.expected["index"]
    asked = (*(then["query"] for then in expected), "-k", str(len(expected[0]["results"])))
    told = fixture.xm("search", "find", "index", *asked, "--audio-encoder", "alignment", "--device", "cpu", "--json")
    for line, then in zip(told.splitlines(), expected, strict=True):
        found = json.loads(line)
        assert found["query"] == then["query"]
        assert [(r["rank"], r["item"]) for r in found["results"]] == [(r["rank"], r["item"]) for r in then["results"]]
        assert [r["score"] for r in found["results"]] == pytest.approx([r["score"] for r in then["results"]], abs=CLOSE)
