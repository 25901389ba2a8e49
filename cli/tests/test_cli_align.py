"""xm align."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xm.testing import installed

installed("ridge")

Xm = Callable[..., Any]
ALIGN = ("align", "--anchor", "word", "--new", "sign", "--data", "toys", "--pairs", "weak", "--aligner", "ridge")


def test_the_table_and_how_to_use_it(xm: Xm) -> None:
    done = xm(*ALIGN, "--out", "runs/aligned")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("sign and word, on ") and lines[0].endswith(" pairs that were held out:")
    rows = {" ".join(line.split()[:-2]): line.split()[-2:] for line in lines[4:-4] if line}
    assert {"R@1 in %, sign to word", "cosine distance of pairs", "modality gap", "uniformity of word"} <= set(rows)
    assert float(rows["modality gap"][0]) >= 0
    assert lines[-4] == "", "four labelled words a class are too few for a probe"
    assert lines[-3:] == [
        "Run folder: runs/aligned",
        "Use it:     --word-encoder runs/aligned",
        "Use it:     --sign-encoder runs/aligned",
    ]
    assert "brought to toy by ridge, from " in done.stderr and "Toys are words and signs." in done.stderr


def test_json_is_the_report_and_the_run_is_an_encoder(xm: Xm) -> None:
    done = xm(*ALIGN, "--out", "aligned", "--json", "--seed", "2", "--holdout", "0.25", "--partners", "2")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["anchor"], report["space"], report["run"]) == ("word", "toy", "aligned")
    assert report["diagnoses"][0]["after"]["found"]["n"] > 0
    settings = json.loads(Path("aligned/xm.json").read_text())["settings"]
    assert (settings["seed"], settings["holdout"], settings["partners"]) == (2, 0.25, 2)
    trained = xm(
        *("train", "--modality", "word", "--aux", "sign", "--data", "toys", "--shots", "1", "--seeds", "1"),
        *("--sign-encoder", "aligned", "--out", "trained"),
    )
    assert trained.exit_code == 0, trained.stderr
    assert "sign: encoder " in trained.stderr and "(you named it); it shares the home space" in trained.stderr
    assert xm("eval", "trained", "--all").exit_code == 0
    Path("appletree.word").write_text("appletree")
    assert xm("predict", "trained", "appletree.word").exit_code == 0


def test_mistakes(xm: Xm) -> None:
    for more, code, said in (
        (("--pairs", "none.csv"), 3, "none.csv: no such file"),
        (("--objective", "infonce"), 2, "unknown setting 'objective'"),
        (("--new", "word"), 2, "word is the anchor; take it out of new"),
        (("--holdout", "2"), 2, "holdout=2.0"),
    ):
        done = xm(*ALIGN, "--out", "aligned", *more)
        assert done.exit_code == code, done.stderr
        assert said in done.stderr.splitlines()[-1] and done.stderr.splitlines()[-1].startswith("error: ")
        assert not Path("aligned").exists()
    assert xm(*ALIGN, "--out", "aligned").exit_code == 0
    evaluated = xm("eval", "aligned")
    assert evaluated.exit_code == 5
    assert "is an alignment, not a classifier; name it as an encoder" in evaluated.stderr
