from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from xm.data.naming import class_names, clean_class_name


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("001 - Dog bark", "dog bark"),
        ("001.ak47", "ak47"),
        ("200.Common_Yellowthroat", "common yellowthroat"),
        ("yin_yang", "yin yang"),
        ("0", "0"),
        ("007", "007"),
        ("007_bond", "bond"),
        ("01 dog", "dog"),
        ("747-jet", "747-jet"),
        ("10_dogs", "10 dogs"),
        ("4.5mm", "4.5mm"),
        ("101_ObjectCategories", "101 objectcategories"),
        ("001 - 747", "747"),
        ("head-phones", "head-phones"),
        ("  wide   open__space ", "wide open space"),
        ("DogBark", "dogbark"),
        ("___", "___"),
        ("001 - ", "001 -"),
    ],
)
def test_cleaned(folder: str, name: str) -> None:
    assert clean_class_name(folder) == name


@given(st.text(alphabet="01 -_.aBç", min_size=1))
def test_cleaning_twice_changes_nothing(name: str) -> None:
    once = clean_class_name(name)
    assert once and clean_class_name(once) == once


def test_across_parents_equal_names_are_one_class() -> None:
    assert class_names([["dog_bark", "Rain"], ["001 - Dog bark"]]) == {
        "dog_bark": "dog bark",
        "Rain": "rain",
        "001 - Dog bark": "dog bark",
    }


def test_within_a_parent_nothing_is_merged() -> None:
    names = class_names([["Dog", "dog", "cat"], ["001 - Dog", "cat"]])
    assert names == {"Dog": "Dog", "dog": "dog", "001 - Dog": "001 - Dog", "cat": "cat"}


@given(st.lists(st.text(alphabet="01 -_.aB", min_size=1), unique=True))
def test_folders_of_one_parent_keep_different_names(folders: list[str]) -> None:
    names = class_names([folders])
    assert len(set(names.values())) == len(folders)
