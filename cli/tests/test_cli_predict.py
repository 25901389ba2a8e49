"""xm predict."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Xm = Callable[..., Any]


@pytest.fixture
def words(tmp_path: Path) -> Path:
    folder = tmp_path / "words"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.word").write_text("appletrees\n")
    (folder / "deep" / "two.WORD").write_text("riverboats\n")
    (folder / "notes.md").write_text("no word")
    return folder


def test_folders_are_searched_and_probabilities_sum_to_one(xm: Xm, run_folder: Path, words: Path) -> None:
    done = xm("predict", run_folder, words, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["model"] == "shots-2/seed-1/word+sign"
    labels = {Path(p["item"]).name: p["label"] for p in found["predictions"]}
    assert labels == {"one.word": "apple", "two.WORD": "river"}
    for prediction in found["predictions"]:
        chances = list(prediction["probabilities"].values())
        assert sum(chances) == pytest.approx(1, abs=1e-5)
        assert chances == sorted(chances, reverse=True)


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_printed(xm: Xm, run_folder: Path, words: Path) -> None:
    (words / "bad.word").write_text("x")
    done = xm("predict", run_folder, words / "bad.word", words / "one.word", words / "none.word", "--top", "1")
    assert done.exit_code == 3
    assert f"warning: {words / 'bad.word'}: not a word" in done.stderr
    assert f"warning: {words / 'none.word'}: " in done.stderr
    lines = done.stdout.splitlines()
    assert any("one.word" in line and "apple" in line and "," not in line for line in lines)
    assert any("bad.word" in line and "can't be read" in line for line in lines)


def test_csv_has_a_column_for_every_class(xm: Xm, run_folder: Path, words: Path) -> None:
    (words / "bad.word").write_text("x")
    done = xm("predict", run_folder, words, "--format", "csv")
    assert done.exit_code == 3
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == ["item", "label", "error", "p(apple)", "p(house)", "p(river)"]
    assert {Path(r["item"]).name: r["label"] for r in rows} == {
        "bad.word": "",
        "one.word": "apple",
        "two.WORD": "river",
    }
    assert float(rows[1]["p(apple)"]) > 0 or float(rows[2]["p(apple)"]) > 0
    assert rows[0]["error"] == "not a word" or rows[1]["error"] == "not a word"


def test_texts_and_a_chosen_model(xm: Xm, run_folder: Path) -> None:
    done = xm("predict", run_folder, "--text", "houselamps", "--text", "apples", "--pick", "shots-1/seed-2", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["model"].startswith("shots-1/seed-2/")
    assert [p["item"] for p in found["predictions"]] == ["houselamps", "apples"]
    assert [p["label"] for p in found["predictions"]] == ["house", "apple"]


def test_a_text_in_the_place_of_a_file(xm: Xm, run_folder: Path) -> None:
    done = xm("predict", run_folder, "the apple", "gone.word")
    assert done.exit_code == 3
    said = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert said[0].endswith("; if it is a text: --text 'the apple'") and "--text" not in said[1]


def test_what_the_run_was_made_with_is_told_where_it_is_missing(
    xm: Xm, toy: list[str], run_folder: Path, words: Path
) -> None:
    toy.clear()
    done = xm("predict", run_folder, words / "one.word")
    assert done.exit_code == 4
    assert done.stderr == (
        f"error: {run_folder}: was made with encoder 'toy-words', which no plugin has here; type: "
        f"xm --plugin FILE predict {run_folder} …, with the file that has it\n"
    )
    index = json.loads((run_folder / "xm.json").read_text())
    index["versions"] |= {"xm-no-such-plugin": "1.2", "xm-linear": "0.1"}  # linear is in a family's package now
    (run_folder / "xm.json").write_text(json.dumps(index))
    done = xm("predict", run_folder, words / "one.word")
    assert "type: pip install xm-no-such-plugin==1.2; or, xm --plugin FILE predict" in done.stderr


def test_mistakes(xm: Xm, run_folder: Path, words: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for args, code, expected in [
        ((run_folder,), 2, "name files or folders, or give --text"),
        ((words, words), 5, "not a run folder"),
        ((run_folder, "https://example.org/x.word"), 2, "https://example.org/x.word: files are read from disk; store"),
        ((run_folder, tmp_path / "empty"), 3, "no file in it is of word or sign (suffixes: .word)"),
        ((run_folder, words, "--modality", "wrod"), 3, "no file in it is of wrod"),
        ((run_folder, words, "--pick", "shots-3"), 2, "unknown model 'shots-3'"),
        ((run_folder, words, "--format", "tabel"), 2, "'tabel'"),
    ]:
        done = xm("predict", *args)
        assert (done.exit_code, done.stdout) == (code, "")
        assert expected in done.stderr
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1


def test_decisions_among_some_classes(xm: Xm, run_folder: Path, words: Path) -> None:
    done = xm("predict", run_folder, words, "--format", "csv", "--only", "house, river")
    assert done.exit_code == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == ["item", "label", "error", "p(house)", "p(river)"]
    assert {r["label"] for r in rows} <= {"house", "river"}
    assert all(float(r["p(house)"]) + float(r["p(river)"]) == pytest.approx(1, abs=1e-5) for r in rows)
    unknown = xm("predict", run_folder, words, "--only", "rivr")
    assert unknown.exit_code == 2
    assert unknown.stderr.splitlines()[-1].startswith("error: unknown class 'rivr': did you mean 'river'?")


def test_a_model_that_takes_in_no_class_says_which_do(xm: Xm, run_folder: Path, words: Path) -> None:
    done = xm("predict", run_folder, words, "--add-class", "lemon")
    assert done.exit_code == 2
    assert "can't take new classes into a fitted model; train with one that can: " in done.stderr
