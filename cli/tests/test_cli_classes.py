"""xm predict --classes: nothing is known but names."""

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
    folder.mkdir()
    for name, word in (("one", "appletrees"), ("two", "riverboats")):
        (folder / f"{name}.word").write_text(word)
    (folder / "notes.md").write_text("no word")
    return folder


def test_files_and_folders_without_a_run(xm: Xm, words: Path) -> None:
    args = ("predict", "--classes", "apple, house", "--classes", "river", "--word-encoder", "toy-words")
    done = xm(*args, words, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["classes"], found["encoders"]) == (["apple", "house", "river"], {"word": "toy-words"})
    assert {Path(p["item"]).name: p["label"] for p in found["predictions"]} == {
        "one.word": "apple",
        "two.word": "river",
    }
    assert all(sum(p["probabilities"].values()) == pytest.approx(1, abs=1e-5) for p in found["predictions"])
    assert "word: encoder toy-words (you named it)" in done.stderr
    table = xm(*args, words / "one.word", words / "two.word", "--top", "1")
    assert [line.split()[1] for line in table.stdout.splitlines()[2:]] == ["apple", "river"]


def test_names_from_a_file_templates_and_csv(xm: Xm, words: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("apple\n\n house, big\nriver\n")
    args = ("--classes", tmp_path / "names.txt", "--template", "{}s", "--format", "csv")
    done = xm("predict", *args, words, "--text", "appletree", "-m", "word")
    assert done.exit_code == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == ["item", "label", "error", "p(apple)", "p(house, big)", "p(river)"]
    assert [row["label"] for row in rows] == ["apple", "river", "apple"]


def test_what_cannot_be_read_is_named_and_the_code_is_3(xm: Xm, words: Path) -> None:
    (words / "bad.word").write_text("x")
    done = xm("predict", "--classes", "apple,river", words)
    assert done.exit_code == 3
    assert f"warning: {words / 'bad.word'}: not a word" in done.stderr
    assert "one.word" in done.stdout


def test_mistakes_with_names(xm: Xm, run_folder: Path, words: Path) -> None:
    for args, code, expected in [
        (("--classes", "apple", words), 2, "--classes: one alone, 'apple'; name two at least"),
        (("--classes", "apple,river", run_folder, words), 2, "is a run folder, whose classes are its own"),
        (("--classes", "apple,river"), 2, "nothing to predict"),
        (("--classes", "apple,river", words, "--pick", "shots-1"), 2, "--pick is for a run's models"),
        (("--classes", "apple,river", words, "--only", "apple"), 2, "--only is for a run's models"),
        ((run_folder, words, "--template", "a {}"), 2, "--template goes with --classes"),
        ((run_folder, words, "--word-encoder", "toy-words"), 2, "--encoder goes with --classes"),
        (("--classes", "apple,river", words / "notes.md"), 2, "notes.md: nothing says what it is of; name it with"),
        (("--classes", "apple,river", "https://example.org/a.word"), 2, "files are read from disk"),
        ((), 2, "Missing argument 'RUN' (see xm predict --help); without a run, name classes"),
    ]:
        done = xm("predict", *args)
        assert (done.exit_code, done.stdout) == (code, ""), done.stderr
        assert expected in done.stderr.splitlines()[-1]
        assert done.stderr.splitlines()[-1].startswith("error: ")


def test_a_folder_of_several_modalities_wants_one_named(xm: Xm, words: Path) -> None:
    (words / "readme.txt").write_text("these are words")
    done = xm("predict", "--classes", "apple,river", words)
    if "txt" in done.stderr or done.exit_code:  # an encoder of texts is installed
        assert done.exit_code == 2
        assert "holds 1 text file and 2 word files; say which are meant: --modality word" in done.stderr
    assert xm("predict", "--classes", "apple,river", words, "-m", "word").exit_code == 0
