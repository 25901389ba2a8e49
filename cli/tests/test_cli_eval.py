"""xm eval."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Xm = Callable[..., Any]


def test_every_model_scores_as_it_did(xm: Xm, run_folder: Path) -> None:
    before = json.loads((run_folder / "xm.json").read_text())["results"]
    done = xm("eval", run_folder, "--all", "--json")
    assert done.exit_code == 0, done.stderr
    after = json.loads(done.stdout)["results"]
    assert [(r["model"], r["value"], r["n"]) for r in after] == [(r["model"], r["value"], r["n"]) for r in before]


def test_one_model_and_another_metric(xm: Xm, run_folder: Path) -> None:
    done = xm("eval", run_folder, "--pick", "shots-1/seed-2/word", "--metric", "macro-f1")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("macro-f1 in % on 18 word items of test, seed 2")
    assert f"Model: {run_folder / 'shots-1/seed-2/word'}" in done.stdout.splitlines()


def test_other_data(xm: Xm, run_folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "new.csv"
    table.write_text("text,modality,label\nappletrees,word,apple\nriverboats,word,river\n")
    done = xm("eval", run_folder, "--data", table, "--json")
    assert done.exit_code == 0, done.stderr
    assert [(r["n"], r["value"]) for r in json.loads(done.stdout)["results"]] == [(2, 1.0)]
    table.write_text("text,modality,label\nlemontrees,word,lemon\n")
    unknown = xm("eval", run_folder, "--data", table)
    assert unknown.exit_code == 3
    assert "lemon" in unknown.stderr


def test_all_and_pick_exclude_each_other(xm: Xm, run_folder: Path) -> None:
    done = xm("eval", run_folder, "--all", "--pick", "shots-1")
    assert done.exit_code == 2
    assert done.stderr == "error: --all and --pick exclude each other\n"


def test_a_run_of_another_format_is_refused(xm: Xm, run_folder: Path) -> None:
    (run_folder / "xm.json").write_text('{"format": 99}')
    done = xm("eval", run_folder)
    assert done.exit_code == 5
    assert "format 99" in done.stderr


def test_items_of_some_classes_are_decided_among_these(xm: Xm, run_folder: Path) -> None:
    done = xm("eval", run_folder, "--only", "apple,river", "--json")
    assert done.exit_code == 0, done.stderr
    [result] = json.loads(done.stdout)["results"]
    assert result["n"] == 12
    several = xm("eval", run_folder, "--add-class", "data", "--add-class", "lemon")
    assert several.exit_code == 2
    assert "takes in all classes of the data: give it alone" in several.stderr
