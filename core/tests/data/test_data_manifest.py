from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xm.data import Dataset, Sample
from xm.data.manifest import open_manifest
from xm.foundation.errors import DataError

SUFFIXES = {".jpg": "image", ".wav": "audio", ".txt": "text"}


def read(table: Path, suffixes: dict[str, str] = SUFFIXES) -> Dataset:
    return open_manifest(str(table), suffixes=suffixes, cache=Path("unused"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "c.wav"):
        (tmp_path / name).touch()
    return tmp_path


def csv(folder: Path, text: str) -> Path:
    (folder / "table.csv").write_text(text, encoding="utf-8")
    return folder / "table.csv"


def jsonl(folder: Path, *rows: Any) -> Path:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / "table.jsonl").write_text(text, encoding="utf-8")
    return folder / "table.jsonl"


def message(table: Path, suffixes: dict[str, str] = SUFFIXES) -> str:
    with pytest.raises(DataError) as caught:
        read(table, suffixes)
    text = str(caught.value)
    assert "\n" not in text and str(table) in text
    return text.replace(str(table.parent) + "/", "")


def test_csv(folder: Path) -> None:
    table = csv(
        folder,
        "\ufeffpath,text,modality,label,split,group,pair\n"
        "a.jpg,,,Dog,train,g1,p1\n"
        '"b.jpg",,depth,cat,valid,,\n'
        "\n"
        ',"a dog, barking",,Dog,pool,,p1\n'
        "c.wav,,,,,,\n",
    )
    data = read(table)
    assert data.name == "table" and data.classes == ("Dog", "cat")
    assert data.samples == (
        Sample(folder / "a.jpg", "image", 0, "train", "g1", "p1"),
        Sample(folder / "b.jpg", "depth", 1, "val", None, None),
        Sample("a dog, barking", "text", 0, "pool", None, "p1"),
        Sample(folder / "c.wav", "audio", None, None, None, None),
    )


def test_where_samples_come_from(folder: Path) -> None:
    table = csv(folder, "path,source\na.jpg,web\nb.jpg,\n")
    assert [sample.source for sample in read(table).samples] == ["web", None]
    assert read(jsonl(folder, {"text": "hi", "source": "captions"})).samples == (
        Sample("hi", "text", source="captions"),
    )


def test_jsonl(folder: Path) -> None:
    table = jsonl(folder, {"path": "a.jpg", "label": 3}, "", {"text": "hi", "label": None, "group": "g"})
    assert read(table).samples == (
        Sample(folder / "a.jpg", "image", 0),
        Sample("hi", "text", None, None, "g"),
    )


def test_paths_are_relative_to_the_table(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = csv(folder, f"path,label\na.jpg,x\n{folder / 'b.jpg'},y\n")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert [s.item for s in read(table).samples] == [folder / "a.jpg", folder / "b.jpg"]


def test_all_rows_are_looked_at(folder: Path) -> None:
    table = csv(folder, "path,text,label\nnot.jpg,,x\n,,x\na.jpg,both,x\na.jpg,,x\nz.jpg,,x\ny.jpg,,x\n")
    assert message(table) == (
        "table.csv: line 2: not.jpg: no such file; line 3: has neither path nor text; "
        "line 4: has both path and text; give one of them; and 2 more"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("path,label\n", "has no rows"),
        ("path,lable\na.jpg,x\n", "line 1: unknown column 'lable': did you mean 'label'?"),
        ("path,lable\na.jpg,x\n", "line 1: unknown column 'lable': did you mean 'label'? (known: path, text,"),
        ("label,split\nx,train\n", "line 1: neither a column 'path' nor 'text'"),
        ("path,path\na.jpg,a.jpg\n", "line 1: a column is there twice"),
        ("path,label\na.jpg,x,y\n", "line 2: has 1 values more than columns"),
        ("path,modality\na.jpg,imgae\n", "line 2: unknown modality 'imgae': did you mean 'image'?"),
        (
            "path\ntable.csv\n",
            "line 2: the modality of table.csv is not known; name it in a column 'modality'",
        ),
    ],
)
def test_bad_csv(folder: Path, text: str, expected: str) -> None:
    assert expected in message(csv(folder, text))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("{oops", "line 2: is not JSON"),
        ([1], "line 2: a JSON object was expected, not list"),
        ({"path": "a.jpg", "lable": "x"}, "line 2: unknown key 'lable': did you mean 'label'?"),
        ({"path": ["a.jpg"]}, "line 2: path is a list; text was expected"),
        ({"path": "a.jpg", "label": True}, "line 2: label is a bool; text was expected"),
    ],
)
def test_bad_jsonl(folder: Path, row: Any, expected: str) -> None:
    assert expected in message(jsonl(folder, {"path": "a.jpg"}, row))


def test_text_without_a_text_encoder(folder: Path) -> None:
    table = csv(folder, "text,label\nhi,x\n")
    assert "line 2: the modality of a text is not known" in message(table, {".jpg": "image"})


def test_not_there_or_not_text(folder: Path) -> None:
    (folder / "other.csv").write_bytes(b"path,label\n\xff\xfe,x\n")
    assert "is not UTF-8" in message(folder / "other.csv")
    assert "no such file; did you mean other.csv?" in message(folder / "othre.csv")


def test_metadata(folder: Path) -> None:
    """Any further column that is called meta.NAME; where a cell is empty the sample has none."""
    data = read(csv(folder, "path,label,meta.language,meta.camera model\na.jpg,x,en,\nb.jpg,y,, K2 \n"))
    assert [s.metadata for s in data.samples] == [{"language": "en"}, {"camera model": "K2"}]
    data = read(jsonl(folder, {"path": "a.jpg", "meta.year": 1999}, {"path": "b.jpg"}))
    assert [s.metadata for s in data.samples] == [{"year": "1999"}, {}]
    assert "unknown column 'meta.': did you mean 'meta.NAME'?" in message(csv(folder, "path,meta.\na.jpg,en\n"))
