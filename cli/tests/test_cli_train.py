"""xm train: table, JSON, notes and errors."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Xm = Callable[..., Any]
TOYS = ("--modality", "word", "--aux", "sign", "--data", "toys")


def test_train_prints_a_table_and_how_to_go_on(xm: Xm, tmp_path: Path) -> None:
    done = xm("train", *TOYS, "--shots", "1,2", "--seeds", "1,2", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("accuracy in % on 18 word items of test, mean ± standard deviation over seeds 1, 2")
    header = next(line for line in lines if line.startswith("learned from"))
    assert header.split() == ["learned", "from", "0", "(zero-shot)", "1", "2"]
    alone = next(line for line in lines if line.startswith("word   "))
    assert alone.split()[1] == "-"  # no zero-shot without an auxiliary modality
    assert alone.count("±") == 2
    assert next(line for line in lines if line.startswith("word + sign")).count("±") == 3
    labels = next(line for line in lines if line.startswith("word labels, train + val"))
    assert labels.split("train + val")[1].split() == ["0", "+", "0", "3", "+", "3", "6", "+", "6"]
    assert any(line.strip().startswith("1 shot: ") and "sign (" in line for line in lines)
    assert lines[-1].endswith(f"xm predict {tmp_path / 'out'} FILE")
    assert "\x1b" not in done.stdout
    assert "Toys are words and signs." in done.stderr.splitlines()
    assert (tmp_path / "out" / "xm.json").is_file()


def test_json_has_every_subset_shots_and_seed(xm: Xm) -> None:
    done = xm("train", *TOYS, "--shots", "1,2", "--seeds", "1,2,3", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    linear = [r for r in found["results"] if r["strategy"] == "linear"]
    assert {(tuple(r["aux"]), r["shots"], r["seed"]) for r in linear} == {
        (aux, shots, seed) for aux in ((), ("sign",)) for shots in (1, 2) for seed in (1, 2, 3)
    }
    assert {r["shots"] for r in found["results"] if r["strategy"] == "zero-shot"} == {0}
    first = linear[0]
    assert (first["target"], first["split"], first["metric"], first["n"]) == ("word", "test", "accuracy", 18)
    assert 0 <= first["value"] <= 1
    assert {"init", "labels", "model"} <= first.keys()
    assert all(s["seeds"] == 3 and 0 <= s["mean"] <= 1 for s in found["summary"])
    assert Path(found["run"], "xm.json").is_file()
    assert "xm-core" in found["versions"]
    assert "Toys are words and signs." in done.stderr


def test_piped_output_is_not_cut_and_has_no_colour(process: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = process("train", *TOYS, "--shots", "1,2,3,4", "--seeds", "1,2", COLUMNS="30", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("word + sign")]
    assert len(rows) == 1
    assert rows[0].count("+/-") == 5
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout + done.stderr


def test_strategy_settings_and_encoders_reach_the_run(xm: Xm, tmp_path: Path) -> None:
    args = (
        "--set",
        "init=random",
        "--set",
        "penalties=[0.1]",
        "--word-encoder",
        "toy-words",
        "--sign-encoder=toy-signs",
    )
    done = xm(
        "train", *TOYS, *args, "--shots", "1", "--seeds", "1", "--no-baselines", "--out", tmp_path / "out", "--json"
    )
    assert done.exit_code == 0, done.stderr
    settings = json.loads((tmp_path / "out" / "xm.json").read_text())["settings"]
    assert settings["set"] == {"init": "random", "penalties": [0.1]}
    assert settings["encoders"] == {"word": "toy-words", "sign": "toy-signs"}
    assert {r["strategy"] for r in json.loads(done.stdout)["results"]} == {"linear"}


def test_mistakes_are_one_line_with_the_nearest_name(xm: Xm) -> None:
    for args, code, expected in [
        (("-m", "wrod"), 2, "unknown modality 'wrod': did you mean 'word'?"),
        (("-m", "word", "--strategy", "lineer"), 2, "unknown strategy 'lineer': did you mean 'linear'?"),
        (("-m", "word", "--word-encoder", "toy-wrods"), 2, "did you mean 'toy-words'?"),
        (("-m", "word", "--word-encoder"), 2, "--word-encoder needs an encoder"),
        (("-m", "word", "--encoder", "toy-words"), 2, "'toy-words' is not of the form NAME=VALUE"),
        (("-m", "word", "--shots", "x"), 2, "shots.0='x'"),
        (("-m", "word", "--seedz", "1"), 2, "No such option: --seedz; did you mean --seeds"),
        (("-m", "word", "--set", "lr=x", "--set", "initt=random"), 2, "unknown setting 'initt' (did you mean 'init'?)"),
        ((), 2, "name the target with --modality NAME (known: "),
    ]:
        done = xm("train", "--data", "toys", *args)
        assert done.exit_code == code
        assert done.stdout == ""
        last = done.stderr.splitlines()[-1]
        assert last.startswith("error: ")
        assert expected in last
        assert "Traceback" not in done.stderr
    missing = xm("train", "-m", "word", "--data", "no/such/folder")
    assert missing.exit_code == 3
    assert "no/such/folder" in missing.stderr
    assert not list(Path().glob("runs/*"))  # nothing half-written


def test_runs_to_start_from_are_named(xm: Xm, run_folder: Path, tmp_path: Path) -> None:
    words = ("train", "--modality", "word", "--data", "toys", "--shots", "1", "--seeds", "1")
    done = xm(*words, "--start", tmp_path / "nothing")
    assert done.exit_code == 5 and "nothing: not a run folder" in done.stderr
    done = xm(*words, "--start", run_folder)
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: --start {run_folder}: nothing is taken from it: strategy 'linear' opens no")


def test_a_folder_that_is_taken_is_refused(xm: Xm, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    done = xm("train", *TOYS, "--out", tmp_path / "taken")
    assert done.exit_code == 2
    assert "not an empty folder" in done.stderr
