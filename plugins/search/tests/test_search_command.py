"""xm search."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("faiss")

Xm = Callable[..., Any]


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Files of words, which the toy plugin reads; it also has an encoder of words that reads names."""
    folder = tmp_path / "words"
    (folder / "deep").mkdir(parents=True)
    for path in ("apples", "deep/applesong", "riverboat", "houses"):
        (folder / f"{path}.word").write_text(Path(path).name)
    return folder


@pytest.fixture
def index(xm: Xm, words: Path) -> Path:
    done = xm("search", "build", words, "--modality", "word", "--word-encoder", "toy-words", "--out", "words.index")
    assert done.exit_code == 0, done.stderr
    assert "words.index: 4 word items, 64 dimensions, space toy" in done.stdout
    return Path("words.index")


def test_words_and_files_are_found(xm: Xm, index: Path, words: Path) -> None:
    done = xm("search", "find", index, "appletree", words / "riverboat.word", "-k", "2", "--json")
    assert done.exit_code == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["query"] == "appletree"
    assert {Path(r["item"]).stem for r in first["results"]} == {"apples", "applesong"}
    assert second["results"][0] == {"rank": 1, "score": 1.0, "item": str(Path("words", "riverboat.word"))}


def test_the_table_has_rank_score_and_item(xm: Xm, index: Path) -> None:
    done = xm("search", "find", index, "riverboats", "-k", "1")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["rank", "score", "word"]
    rank, score, item = lines[-1].split()
    assert (rank, item) == ("1", str(Path("words", "riverboat.word"))) and 0.8 < float(score) < 1


def test_several_queries_have_a_heading_each(xm: Xm, index: Path) -> None:
    done = xm("search", "find", index, "appletree", "housetop", "-k", "1")
    assert [line for line in done.stdout.splitlines() if line in ("appletree", "housetop")] == ["appletree", "housetop"]


def test_a_dataset_is_indexed_by_name(xm: Xm) -> None:
    done = xm("search", "build", "toys", "-m", "sign", "--out", "signs.index", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["items"], told["modality"], told["encoder"], told["method"]) == (36, "sign", "toy-signs", "exact")
    done = xm("search", "find", "signs.index", "applesong", "-k", "1", "--json")
    [found] = json.loads(done.stdout)["results"]
    assert found["item"] == "toys sign 6 (apple): <array 64 float32>"


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("build", "none", "-m", "word", "--out", "x"), 2, "none"),
        (("build", "words", "-m", "wrod", "--out", "x"), 2, "unknown modality 'wrod': did you mean 'word'?"),
        (("build", "words", "-m", "sign", "--out", "x"), 3, "no sign file in it (suffixes: none is known for it)"),
        (("build", "words", "-m", "word", "--out", "words"), 2, "exists and is not an empty folder"),
        (
            ("build", "words", "-m", "word", "--sign-encoder", "x", "--out", "y"),
            2,
            "--sign-encoder: the index is of word",
        ),
        (("find", "words.index", "gone.word"), 3, "gone.word: no such file"),
        (("find", "words", "apple"), 5, "words: not an index (index.json: No such file or directory)"),
        (("find", "words.index", "apple", "--word-encoder"), 2, "--word-encoder needs an encoder"),
        (("find", "words.index", "a"), 3, "a: not a word"),
        (("find", "words.index", "words"), 2, "words: is a folder; name the files in it to ask for, such as words/*"),
    ],
)
def test_mistakes_are_one_line(xm: Xm, index: Path, args: tuple[str, ...], code: int, said: str) -> None:
    done = xm("search", *args)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr.splitlines()[-1]


def test_help_imports_neither_torch_nor_faiss(process: Callable[..., Any]) -> None:
    for args in (("--help",), ("search", "find", "--help"), ("search", "build", "--help")):
        done = process(*args, PYTHONPROFILEIMPORTTIME="1")
        assert done.returncode == 0
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "typer" in imported and not imported & {"torch", "faiss", "numpy", "pydantic"}
