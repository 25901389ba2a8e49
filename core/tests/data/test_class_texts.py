"""Texts by class: other names, definitions, languages, and files by dataset."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from xm.data.class_texts import beside_name, file_in
from xm.data.draws import Draws
from xm.data.semantics import described, read_descriptions
from xm.data.types import Dataset, Sample
from xm.foundation.errors import DataError

CLASSES = ("dog", "hot dog")
TOLD = {
    "dog": {"aliases": ["hound"], "definition": "a tame canine", "en": ["a dog barks"], "de": "ein Hund bellt"},
    "Hot_Dog": ["eaten warm"],
}


def dataset(path: Path, **more: object) -> Dataset:
    samples = tuple(
        Sample(f"{name} {i}", "image", label, split)
        for label, name in enumerate(CLASSES)
        for i, split in enumerate(("train", "val", "test"))
    )
    made = Dataset("d", CLASSES, samples, templates=("a {}", "the {}"), described=True)
    return replace(made, semantics={"descriptions": read_descriptions(path, CLASSES)}, **more)  # type: ignore[arg-type]


@pytest.fixture
def told(tmp_path: Path) -> Path:
    path = tmp_path / "told.json"
    path.write_text(json.dumps(TOLD), encoding="utf-8")
    return path


def test_aliases_are_names_and_definitions_are_texts(told: Path) -> None:
    found = read_descriptions(told, CLASSES)
    assert found.texts == {"dog": ("dog: a tame canine", "a dog barks", "ein Hund bellt"), "hot dog": ("eaten warm",)}
    assert found.aliases == {"dog": ("hound",)}
    assert found.languages == {"a dog barks": "en", "ein Hund bellt": "de"}
    assert described("descriptions", found, CLASSES) == (
        "Descriptions: 4 texts, of 2 of 2 classes; 1 alias; de (1), en (1)."
    )
    data = dataset(told)
    names = ("a dog", "the dog", "a hound", "the hound")
    assert data.sentences(0) == (*names, "dog: a tame canine", "a dog barks", "ein Hund bellt")


def test_a_table_says_the_same(told: Path, tmp_path: Path) -> None:
    table = tmp_path / "told.csv"
    lines = [
        "class,definition,aliases,text,language",
        "dog,a tame canine,hound; ,,",
        "dog,,,a dog barks,en",
        "dog,,,ein Hund bellt,de",
        "Hot_Dog,,,eaten warm,",
    ]
    table.write_text("\n".join(lines), encoding="utf-8")
    one, other = read_descriptions(told, CLASSES), read_descriptions(table, CLASSES)
    assert (one.texts, one.aliases, one.languages) == (other.texts, other.aliases, other.languages)
    table.write_text("class,text,language\ndog,,de\n,a dog,en\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2: expected a class and a text; line 3: expected a class and a text"):
        read_descriptions(table, CLASSES)


def test_samples_and_templates(told: Path) -> None:
    """As samples they are in train alone; as templates in classifiers of names alone, behind the name if need be."""
    names = ("a dog", "the dog", "a hound", "the hound")
    for how, in_train, in_names in (
        ("texts", 3, ("eaten warm",)),
        ("samples", 3, ()),
        ("templates", 0, ("hot dog, which has eaten warm",)),
    ):
        data = dataset(told, described_as=how)
        drawn = (
            Draws(data).task(target="image", aux=("text",), shots=1, seed=1, names=("text",)).samples["train"]["text"]
        )
        assert [s.item for s in drawn if s.label == 0][: len(names)] == list(names)
        assert len([s for s in drawn if s.label == 0]) == len(names) + in_train
        assert data.sentences(1) == ("a hot dog", "the hot dog", *in_names)
        assert {s.metadata.get("language") for s in drawn} == ({None, "en", "de"} if in_train else {None})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a hen is a bird", "a hen is a bird"),
        ("The chicken clucks", "The chicken clucks"),
        ("red comb", "hen, which has red comb"),
        ("a farm bird", "hen, which is a farm bird"),
        ("often seen on farms", "hen, which often seen on farms"),
        ("used for eggs", "hen, which is used for eggs"),
    ],
)
def test_descriptors_stand_behind_the_name(text: str, sentence: str) -> None:
    assert beside_name("hen", text, ("hen", "chicken")) == sentence


def test_files_by_dataset(tmp_path: Path) -> None:
    for name in ("food_prompts_full.json", "descriptors_food101.json", "cal_prompts_full.json", "notes.txt"):
        (tmp_path / name).write_text("{}")
    assert file_in(tmp_path, ("caltech-101", "cal")).name == "cal_prompts_full.json"
    assert file_in(tmp_path, ("food-101",)).name == "descriptors_food101.json"
    with pytest.raises(
        DataError, match=r"descriptors_food101.json and food_prompts_full.json may be of food-101; call"
    ):
        file_in(tmp_path, ("food-101", "food"))
    with pytest.raises(DataError, match=r"holds no file of dtd; call it dtd.json, or name a file"):
        file_in(tmp_path, ("dtd", "texture"))
    (tmp_path / "food-101.json").write_text("{}")
    assert file_in(tmp_path, ("food-101", "food")).name == "food-101.json"


def test_unknown_keys_are_told(tmp_path: Path) -> None:
    path = tmp_path / "told.json"
    path.write_text(json.dumps({"dog": {"synonyms": ["hound"], "pt-BR": [3]}}), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"'dog': unknown key 'synonyms' \(known: texts, aliases, definition, and languages"
    ):
        read_descriptions(path, CLASSES)
