"""--reader, --columns and MODALITY:PATH, in every command that takes data; the files of a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Xm = Callable[..., Any]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table by other names."""
    lines = ["kind;where;fold"]
    for name in ("apple", "house", "river"):
        for i in range(6):
            file = tmp_path / "words" / f"{name}{i}.word"
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"{name}{'trees'[i:]}{i}x")
            lines.append(f"{name};words\\{file.name};{i}")
    (tmp_path / "t.csv").write_text("\r\n".join(lines) + "\r\n")
    return tmp_path / "t.csv"


COLUMNS = ("--columns", "path=where, label=kind,group=fold")


def test_columns_and_reader(xm: Xm, table: Path) -> None:
    found = json.loads(xm("data", "show", table, "--reader", "manifest", *COLUMNS, "--json").stdout)
    assert [c["name"] for c in found["classes"]] == ["apple", "house", "river"] and found["groups"] == 6
    assert json.loads(xm("data", "show", f"word:{table}?path=where&label=kind", "--json").stdout)["items"] == 18


def test_a_run_finds_its_table_again(xm: Xm, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ("--data", table.name, "--reader", "manifest", *COLUMNS)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "run"
    done = xm("train", "--modality", "word", *given, "--shots", "1", "--seeds", "1", "--val-shots", "0", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "where is taken for path" in done.stderr
    monkeypatch.chdir(tmp_path.parent)
    assert xm("eval", out).exit_code == 0
    assert xm("eval", out, "--data", table, *COLUMNS).exit_code == 0
    done = xm("embed", table, *COLUMNS, "--out", tmp_path / "bank.safetensors")
    assert done.exit_code == 0, done.stderr


def test_predict_takes_what_training_takes(xm: Xm, run_folder: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    litter = (".Trash-1000/2.word", "__MACOSX/3.word", "._1.word", ".ipynb_checkpoints/1.word")
    for name in ("1.word", "../far/4.word", *litter):
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).write_text("appletrees" if not Path(name).name.startswith("._") else "\x00")
    (new / "more").symlink_to(tmp_path / "far")
    done = xm("predict", run_folder, new, "--json")
    assert done.exit_code == 0, done.stderr
    found = [p["item"] for p in json.loads(done.stdout)["predictions"]]
    assert found == [str(new / "1.word"), str(new / "more" / "4.word")]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("t.csv", "--reader", "manifets"), "--reader manifets: unknown reader 'manifets': did you mean 'manifest'?"),
        (("t.csv", "--columns", "labl=kind"), "--columns labl=kind: expected COLUMN=NAME, such as label=category"),
        (("--columns", "label=kind"), "--columns label=kind: of what data?"),
        (("words", "--columns", "label=kind"), "folder has no columns that could be named"),
        (("word:toys",), "toys is a dataset's name; a folder or file was expected"),
    ],
)
def test_mistakes(xm: Xm, table: Path, args: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(table.parent)
    done = xm("data", "show", *args)
    assert done.exit_code == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
