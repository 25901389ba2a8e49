"""Tables as Excel, pandas, the Hub and hurried people write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from xm.data import Dataset
from xm.data.manifest import open_manifest
from xm.data.tables import read_rows
from xm.foundation.errors import DataError

SUFFIXES = {".jpg": "image", ".wav": "audio", ".txt": "text"}
FILES = ("photos/a.jpg", "photos/b.jpg", "photos/c.jpg")


def read(table: Path | str) -> Dataset:
    return open_manifest(str(table), suffixes=SUFFIXES, cache=Path("unused"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in FILES:
        (tmp_path / name).touch()
    return tmp_path


def write(folder: Path, text: str, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


ROWS = [("photos/a.jpg", "cat"), ("photos/b.jpg", "dog")]


@pytest.mark.parametrize(
    ("text", "name", "encoding"),
    [
        ("path;label\r\n{rows;}", "t.csv", "utf-8-sig"),
        ("sep=;\r\npath;label\r\n{rows;}", "t.csv", "utf-8"),
        ("path\tlabel\n{rows\t}", "t.csv", "utf-8"),
        ("path\tlabel\n{rows\t}", "t.tsv", "utf-8"),
        ("path,label\n{rows,}", "t.tsv", "utf-8"),
        ("path\tlabel\r\n{rows\t}", "t.csv", "utf-16"),
        ("path,label\r\n{rows,},\r\n,\r\n", "t.csv", "utf-8-sig"),
        ("path,label,\r\n{rows,,}", "t.csv", "utf-8"),
        (",path,label\n{index}", "t.csv", "utf-8"),
        ("path,label\r\n{windows}", "t.csv", "utf-8"),
        ("file_name,label\n{rows,}", "t.csv", "utf-8"),
        ("File Name,Label\n{rows,}", "t.csv", "utf-8"),
        ("filepath\tclass\n{rows\t}", "t.csv", "utf-8"),
        ("image,label\n{rows,}", "t.csv", "utf-8"),
        ("path,label,width\n{rows,,32}", "t.csv", "utf-8"),
    ],
)
def test_tables_of_programs(folder: Path, text: str, name: str, encoding: str) -> None:
    rows = {
        "{rows;}": "".join(f"{path};{label}\r\n" for path, label in ROWS),
        "{rows,}": "".join(f"{path},{label}\r\n" for path, label in ROWS),
        "{rows\t}": "".join(f"{path}\t{label}\r\n" for path, label in ROWS),
        "{rows,,}": "".join(f"{path},{label},\r\n" for path, label in ROWS),
        "{rows,,32}": "".join(f"{path},{label},32\r\n" for path, label in ROWS),
        "{index}": "".join(f"{i},{path},{label}\r\n" for i, (path, label) in enumerate(ROWS)),
        "{windows}": "".join(f"{path},{label}\r\n".replace("/", "\\") for path, label in ROWS),
    }
    for mark, filled in rows.items():
        text = text.replace(mark, filled)
    data = read(write(folder, text, name, encoding))
    assert data.classes == ("cat", "dog")
    assert [(s.item, s.label) for s in data.samples] == [(folder / "photos/a.jpg", 0), (folder / "photos/b.jpg", 1)]


def test_what_is_said_of_columns(folder: Path) -> None:
    """As ESC-50's table: other names are taken, what is left is passed over, and both are told."""
    data = read(write(folder, "filename,fold,target,category\nphotos/a.jpg,1,0,cat\nphotos/b.jpg,2,1,dog\n"))
    assert data.classes == ("cat", "dog") and [s.group for s in data.samples] == ["1", "2"]
    (note,) = data.notes
    assert "filename is taken for path; category is taken for label; fold is taken for group" in note
    assert "passed over: target" in note
    given = read(write(folder, "path,fold,split\nphotos/a.jpg,1,train\nphotos/b.jpg,1,test\n"))
    assert [s.group for s in given.samples] == [None, None]  # a fold is no group where splits are given
    assert read(write(folder, "path,label\nphotos/a.jpg,cat\n")).notes == ()


def test_columns_by_the_user(folder: Path) -> None:
    table = write(folder, "kind,where,fold\ncat,photos/a.jpg,1\n")
    with pytest.raises(DataError, match=r"neither a column 'path' nor 'text' \(there are: kind, where, fold\)"):
        read(table)
    (sample,) = read(f"{table}?path=where&label=kind&group=&meta.fold=fold").samples
    assert (sample.item, sample.label, sample.group) == (folder / "photos/a.jpg", 0, None)
    assert sample.metadata == {"fold": "1"}
    with pytest.raises(DataError, match=r"--columns: no column 'wehre' \(there are: kind, where, fold\)"):
        read(f"{table}?path=wehre")


def test_slips_are_told_from_other_columns(folder: Path) -> None:
    slips = {"lable": "label", "paht": "path", "spilt": "split", "gruop": "group", "labell": "label"}
    for slip, meant in slips.items():
        with pytest.raises(DataError, match=f"unknown column '{slip}': did you mean '{meant}'"):
            read(write(folder, f"{slip},width\nx,1\n"))
    for other in ("take", "title", "state", "source_id", "page", "gender"):
        assert len(read(write(folder, f"path,{other}\nphotos/a.jpg,x\n")).samples) == 1


def test_words_for_splits(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = write(folder, "path,split\nphotos/a.jpg,Training\nphotos/b.jpg,dev\nphotos/c.jpg,testing\n")
    assert [s.split for s in read(table).samples] == ["train", "val", "test"]
    table = write(folder, "path,split\nphotos/a.jpg,train\nphotos/b.jpg,eval\nphotos/c.jpg,test\n")
    assert [s.split for s in read(table).samples] == ["train", "val", "test"]
    table = write(folder, "path,split\nphotos/a.jpg,train\nphotos/b.jpg,Evaluation\n")
    assert [s.split for s in read(table).samples] == ["train", "test"]
    assert not caplog.messages
    with pytest.raises(DataError, match="unknown split 'trian': did you mean 'train'"):
        read(write(folder, "path,split\nphotos/a.jpg,trian\n"))
    with pytest.raises(DataError, match="what split is 'eval', beside 'dev' and 'test'"):
        read(write(folder, "path,split\nphotos/a.jpg,eval\nphotos/b.jpg,dev\nphotos/c.jpg,test\n"))
    read(write(folder, "path,split\nphotos/a.jpg,train\nphotos/b.jpg,pool\nphotos/c.jpg,unlabelled\n"))
    assert caplog.messages == [f"{table}: 1 row is of split 'pool', so neither learned from nor scored"]


def test_no_label(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """NaN is none in JSON; "nan" may be a word, and is asked about."""
    nan = float("nan")
    rows = [{"path": path, "label": label, "group": nan} for path, label in zip(FILES, ("cat", nan, None), strict=True)]
    data = read(write(folder, "\n".join(map(json.dumps, rows)), "t.jsonl"))
    assert [s.label for s in data.samples] == [0, None, None] and {s.group for s in data.samples} == {None}
    table = write(folder, "path,label\nphotos/a.jpg,cat\nphotos/b.jpg,nan\nphotos/c.jpg,nan\n")
    assert read(table).classes == ("cat", "nan")
    (said,) = caplog.messages
    assert said == f"{table}: 2 rows are of the label 'nan'; if that says that there is none, leave the cell empty"


def test_rows_that_are_there_twice(folder: Path) -> None:
    row = "photos/a.jpg,cat,{}\n"
    data = read(write(folder, "path,label,pair\n" + row.format("") * 3 + row.format("p") + "photos/b.jpg,dog,\n"))
    assert [(s.item.name, s.pair) for s in data.samples] == [("a.jpg", None), ("a.jpg", "p"), ("b.jpg", None)]
    assert data.notes == ("Taken once: 2 rows that say again what one before does.",)
    assert len(read(write(folder, "text,label\nyes,a\nyes,a\n")).samples) == 2  # texts may be said twice


def test_labels_in_one_form_of_unicode(folder: Path) -> None:
    table = write(folder, "path,label\nphotos/a.jpg,Cafe\u0301\nphotos/b.jpg,Caf\u00e9\n")
    assert read(table).classes == ("Caf\u00e9",)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("path,label\nä.jpg,x\n".encode("latin-1"), "is not UTF-8 .* save it as UTF-8"),
        ("path,label\n".encode("utf-16-le"), "zero bytes"),
        (b'path,label\n"photos/a.jpg,cat\nphotos/b.jpg,dog\n', "no such file"),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, data: bytes, said: str) -> None:
    (folder / "t.csv").write_bytes(data)
    with pytest.raises(DataError, match=said) as caught:
        read(folder / "t.csv")
    assert "\n" not in str(caught.value)


def test_the_first_row_says_the_separator(folder: Path) -> None:
    assert read_rows(write(folder, "a;b;c,d\n1;2;3,4\n")) == [(1, ["a", "b", "c,d"]), (2, ["1", "2", "3,4"])]
    assert read_rows(write(folder, "path,a;b;c\nx,y\n"), {"path"})[0] == (1, ["path", "a;b;c"])
    assert read_rows(write(folder, '"sep=,"\n\na,b\n')) == [(3, ["a", "b"])]


CELLS = st.one_of(
    st.sampled_from(["path", "label", "text", "split", "photos/a.jpg", "photos\\b.jpg", "train", "nan", "sep=;", ""]),
    st.text(max_size=8),
)
TABLES = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda rows, sign, code: "\n".join(sign.join(row) for row in rows).encode(code, "replace"),
        st.lists(st.lists(CELLS, max_size=4), max_size=5),
        st.sampled_from([",", ";", "\t", '"']),
        st.sampled_from(["utf-8", "utf-16", "latin-1"]),
    ),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), CELLS), lambda inner: st.lists(inner, max_size=2)
)
OBJECTS = st.lists(st.dictionaries(CELLS, VALUES, max_size=4), max_size=4)


def dataset_or_one_line(table: Path) -> None:
    try:
        data = read(table)
        assert data.samples and all(len(text.splitlines()) == 1 and text.encode() for text in data.notes)
    except DataError as error:
        assert len(str(error).splitlines()) == 1 and str(error).encode()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES)
def test_any_bytes_are_a_dataset_or_an_error(folder: Path, data: bytes) -> None:
    for name in ("t.csv", "t.tsv", "t.jsonl"):
        (folder / name).write_bytes(data)
        dataset_or_one_line(folder / name)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OBJECTS)
def test_any_objects_are_a_dataset_or_an_error(folder: Path, rows: list[dict[str, object]]) -> None:
    (folder / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset_or_one_line(folder / "t.jsonl")


def test_numbers_and_brackets_without_end(folder: Path) -> None:
    for text in ('{"path": ' + "1" * 5000 + "}", "[" * 100000, '{"text": "\\ud800"}', '{"text": "a", "label": NaN}'):
        dataset_or_one_line(write(folder, text, "t.jsonl"))
