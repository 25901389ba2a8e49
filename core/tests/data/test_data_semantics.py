"""Files that say what is known of classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xm.data.semantics import described, read_descriptions, read_semantics
from xm.data.types import Dataset, Semantics
from xm.foundation.errors import DataError

CLASSES = ("ant", "hot dog", "Yin_Yang")


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


def said(path: Path, read: Any = read_semantics) -> str:
    with pytest.raises(DataError) as caught:
        read(path, CLASSES)
    text = str(caught.value)
    assert "\n" not in text and text.startswith(str(path))
    return text.removeprefix(f"{path}: ")


def test_texts_by_class_in_json(write: Any) -> None:
    """A text or a list, the class as written or in words; names that are no class are kept as they are."""
    path = write(
        "cupl.json", json.dumps({"ant": "it crawls", "Hot_Dog": ["eaten", "warm"], "yin yang": [], "Tench": "swims"})
    )
    found = read_semantics(path, CLASSES)
    assert found.kind == "texts"
    assert found.texts == {"ant": ("it crawls",), "hot dog": ("eaten", "warm"), "Tench": ("swims",)}
    assert read_descriptions(path, CLASSES).texts == found.texts


@pytest.mark.parametrize(("suffix", "comma"), ((".csv", ","), (".tsv", "\t")))
def test_texts_by_class_in_a_table(write: Any, suffix: str, comma: str) -> None:
    rows = (("class", "text"), ("ant", "it crawls"), ("hot dog", "eaten"), ("ant", "it bites"), ("ant", "it crawls"))
    found = read_semantics(write(f"texts{suffix}", "\n".join(map(comma.join, rows)) + "\n\n"), CLASSES)
    assert found.texts == {"ant": ("it crawls", "it bites"), "hot dog": ("eaten",)}


def test_a_class_without_a_text_is_warned_of(write: Any, caplog: pytest.LogCaptureFixture) -> None:
    path = write("some.json", json.dumps({"ant": "it crawls"}))
    read_semantics(path, CLASSES)
    assert caplog.messages == [f"{path}: no text of 'hot dog', 'Yin_Yang'; the name alone is used"]


def test_names_that_clean_to_one_are_taken_as_written(write: Any) -> None:
    path = write("dogs.json", json.dumps({"Dog": "large", "dog": "small", "DOG": "loud"}))
    assert read_semantics(path, ("Dog", "dog")).texts == {"Dog": ("large",), "dog": ("small",), "DOG": ("loud",)}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "line 1: is not JSON: "),
        ("a.json", "[1]", "an object was expected, {class: text or [texts]}, not list"),
        (
            "a.json",
            '{"ant": 3, "bee": [""], "c": [1]}',
            "'ant': a text or a list of texts was expected; 'bee': an empty text",
        ),
        ("a.json", '{"Ants": "they crawl"}', "names none of the classes (it has 'Ants', the data 'ant')"),
        ("a.json", "{}", "is empty"),
        ("a.csv", "", "is empty"),
        (
            "a.csv",
            "class,text\nant,\nant,a,b\n",
            "line 2: expected a class and a text; line 3: expected a class and a text",
        ),
        ("a.csv", "class\nant\n", "line 1: expected a header: class, and the names of attributes"),
        ("a.csv", "class,red\nant,much\n", "line 2: 'much' is no number"),
        ("a.csv", "class,red,blue\nant,1\n", "line 2: 1 numbers for 2 attributes"),
        ("a.csv", "class,red\nant,1\nhot dog,nan\nYin_Yang,0", "line 3: not finite"),
        (
            "a.csv",
            "class,red\nant,1\n",
            "no row of class 'hot dog' (and 1 more classes); a matrix needs one of each class",
        ),
        ("a.csv", "class,red\nant,1\nAnt,1\n", "line 3: class 'ant' is there twice"),
        ("a.csv", "class,red\nbee,1\n", "names none of the classes (it has 'bee', the data 'ant')"),
        ("a.tsv", "ant\tis a\n", "line 1: expected class, relation and concept"),
        ("a.tsv", "bee\tis a\tinsect\n", "names none of the classes (it has 'bee', the data 'ant')"),
        ("a.txt", "ant", "of no kind that is known of classes (.json, .csv, .tsv, .npz)"),
        ("a.npz", "no zip", "can't be read as .npz ("),
    ],
)
def test_what_is_wrong_is_told_in_one_line(write: Any, name: str, text: str, message: str) -> None:
    assert said(write(name, text)).startswith(message)


def test_a_missing_file_names_the_nearest(write: Any, tmp_path: Path) -> None:
    write("cupl.json", "{}")
    assert "did you mean" in said(tmp_path / "cup.json")


def test_a_matrix_has_the_order_of_the_classes(write: Any) -> None:
    path = write("a.csv", "class,red,blue\nyin yang,5,6\nbee,9,9\nant,1,2\nhot_dog,3,4.5\n")
    found = read_semantics(path, CLASSES)
    assert found.kind == "matrix" and found.attributes == ("red", "blue") and found.matrix is not None
    assert found.matrix.tolist() == [[1, 2], [3, 4.5], [5, 6]]
    assert "holds a matrix, and texts by class are needed" in said(path, read_descriptions)


def test_a_matrix_in_npz(tmp_path: Path) -> None:
    path, values = tmp_path / "a.npz", np.arange(6).reshape(3, 2)
    np.savez(path, matrix=values)
    found = read_semantics(path, CLASSES)
    assert found.matrix is not None and found.matrix.tolist() == values.tolist() and not found.attributes
    np.savez(
        path, matrix=values, classes=np.array(["Yin Yang", "hot dog", "ant"]), attributes=np.array(["red", "blue"])
    )
    found = read_semantics(path, CLASSES)
    assert found.matrix is not None and found.matrix.tolist() == values[::-1].tolist()
    assert found.attributes == ("red", "blue")
    for wrong, message in (
        ({"values": values}, "expected an array 'matrix' (classes, attributes) of numbers; it has: ['values']"),
        ({"matrix": values[:2]}, "2 rows for 3 classes"),
        ({"matrix": values, "attributes": np.array(["red"])}, "2 columns for 1 names of attributes"),
    ):
        np.savez(path, **wrong)  # type: ignore[arg-type]
        assert said(path) == message


def test_triples(write: Any) -> None:
    path = write("a.tsv", "Ant\tis a\tinsect\nhot dog\tis a\tfood\nYin Yang\tis a\tsign\ninsect\tis a\tanimal\n")
    assert read_semantics(path, CLASSES).triples == (
        ("ant", "is a", "insect"),
        ("hot dog", "is a", "food"),
        ("Yin_Yang", "is a", "sign"),
        ("insect", "is a", "animal"),
    )


def test_semantics_are_one_of_three() -> None:
    for given in ({}, {"texts": {}, "triples": ()}):
        with pytest.raises(ValueError, match="give one of them"):
            Semantics(**given)  # type: ignore[arg-type]


def test_descriptions_stand_beside_names_only_where_they_are_asked_for() -> None:
    known = {"descriptions": Semantics(texts={"ant": ("it crawls",), "tench": ("it swims",)})}
    data = Dataset("d", ("ant", "bee"), (), templates=("a {}", "my {}"), semantics=known)
    assert data.sentences(0) == ("a ant", "my ant") and not data.descriptions
    data = Dataset("d", ("ant", "bee"), (), templates=("a {}",), semantics=known, described=True)
    assert data.sentences(0) == ("a ant", "it crawls") and data.sentences(1) == ("a bee",)


def test_what_there_is_in_words() -> None:
    texts = Semantics(texts={"ant": ("it crawls", "it bites"), "tench": ("it swims",)})
    assert described("descriptions", texts, CLASSES) == ("Descriptions: 3 texts, of 1 of 3 classes and 1 other name.")
    matrix = described("colours", Semantics(matrix=np.ones((3, 2))), CLASSES)
    assert matrix == "Semantics 'colours': a matrix, 3 classes x 2 attributes."
    assert described("kinds", Semantics(triples=(("ant", "is a", "pet"),)), CLASSES) == (
        "Semantics 'kinds': 1 triples of class, relation and concept."
    )
