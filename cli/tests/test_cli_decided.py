"""xm eval, class by class and item by item."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Xm = Callable[..., Any]


def test_classes_confusions_and_wrong_items_of_the_test_of_training(xm: Xm, run_folder: Path) -> None:
    done = xm("eval", run_folder, "--per-class", "--confusion", "--wrong", "--json", "--pick", "shots-1/seed-1/word")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    [result], [said] = found["results"], found["decisions"]
    assert said["model"] == result["model"]
    assert [(c["name"], c["n"]) for c in said["classes"]] == [("apple", 6), ("house", 6), ("river", 6)]
    counts = said["confusion"]["counts"]
    assert said["confusion"]["classes"] == ["apple", "house", "river", None]
    right = sum(counts[k][k] for k in range(3))
    assert (right / 18, [sum(row) for row in counts]) == (result["value"], [6, 6, 6])
    assert [c["recall"] for c in said["classes"]] == [counts[k][k] / 6 for k in range(3)]
    assert len(said["wrong"]) == 18 - right
    assert all(w["item"].startswith(w["label"]) and w["predicted"] != w["label"] for w in said["wrong"])
    assert {w["probability"] for w in said["wrong"]} <= {None}


def test_tables_of_every_model(xm: Xm, run_folder: Path) -> None:
    done = xm("eval", run_folder, "--all", "--per-class", "--confusion", "--wrong")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("Each class, in % (") == done.stdout.count("Items of a class (rows) by what") == 10
    assert "class   precision   recall" in done.stdout
    assert " of 18 wrong (" in done.stdout


def test_other_data_have_probabilities(xm: Xm, run_folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "new.csv"
    table.write_text("text,modality,label\nappletrees,word,river\nriverboats,word,river\n")
    done = xm("eval", run_folder, "--data", table, "--wrong", "--json")
    [said] = json.loads(done.stdout)["decisions"]
    [wrong] = said["wrong"]
    assert (wrong["item"], wrong["label"], wrong["predicted"]) == ("appletrees", "river", "apple")
    assert 1 / 3 < wrong["probability"] <= 1
    shown = xm("eval", run_folder, "--data", table, "--wrong")
    assert "1 item of 2 wrong:" in shown.stdout
    [row] = [line for line in shown.stdout.splitlines() if line.startswith("appletrees")]
    assert row.split() == ["appletrees", "river", "apple", f"{100 * wrong['probability']:.1f}"]


def test_without_the_flags_json_is_as_it_was(xm: Xm, run_folder: Path) -> None:
    assert "decisions" not in json.loads(xm("eval", run_folder, "--json").stdout)
