"""xm embed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Xm = Callable[..., Any]


def test_a_bank_is_data_for_training(xm: Xm) -> None:
    done = xm("embed", "toys", "--out", "toys.safetensors", "-m", "word,sign")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "train_word: 12 rows" in lines and "test_sign: 18 rows" in lines
    assert lines[-3].startswith("72 items embedded in ") and lines[-3].endswith("; 0 could not be read")
    assert lines[-1] == "Use it: xm train --modality NAME --data toys.safetensors"
    assert "word: encoder toy-words" in done.stderr


def test_a_table_for_other_programs_is_not_called_data(xm: Xm) -> None:
    pytest.importorskip("pyarrow")
    done = xm("embed", "toys", "--out", "toys.parquet", "-m", "word")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Bank:   toys.parquet"


def test_json_and_words_of_a_file(xm: Xm, tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("text,modality,label\nappletree,word,apple\n,word,apple\nriver,word,river\n")
    wrong = xm("embed", "words.csv", "--out", "words.npz")
    assert wrong.exit_code == 3 and "line 3: has neither path nor text" in wrong.stderr
    (tmp_path / "words.csv").write_text("text,modality,label\nappletree,word,apple\nriver,word,river\n")
    done = xm("embed", "words.csv", "--out", "words.npz", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["rows"], report["embedded"]) == ({"any_word": 2}, 2)


def test_mistakes(xm: Xm) -> None:
    for more, code, said in (
        (("--out", "x.csv"), 2, "its suffix should be one of .safetensors, .npz, .parquet"),
        (("--out", "x.npz", "-m", "taste"), 2, "toys holds no taste"),
        (("--out", "x.npz", "--on-error", "ask"), 2, "on_error"),
    ):
        done = xm("embed", "toys", *more)
        assert done.exit_code == code, done.stderr
        assert said in done.stderr.splitlines()[-1]
    assert not list(Path().glob("x.*"))
