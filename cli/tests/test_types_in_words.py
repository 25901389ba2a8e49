"""Types of settings in words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, create_model

from xm_cli.types_in_words import types


class Colour(StrEnum):
    red = "red"
    blue = "blue"


Positive = Annotated[float, Field(gt=0)]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (float, "number"),
        (Annotated[float, Field(gt=0, lt=1)], "number above 0, below 1"),
        (Annotated[float, Field(gt=0, le=0.5)], "number above 0, up to 0.5"),
        (Annotated[float, Field(ge=0, le=1)] | Literal["val"], "number from 0 to 1 or val"),
        (Annotated[int, Field(ge=1)], "whole number from 1"),
        (bool, "true or false"),
        (Literal["zero", "names", 3], "one of zero, names, 3"),
        (Colour, "one of red, blue"),
        (int | None, "whole number or none"),
        (tuple[Positive, ...], "list of numbers above 0"),
        (list[int | None], "list of whole numbers or none"),
        (tuple[int, int], "list of 2 whole numbers"),
        (tuple[int, str], "list of whole number, text"),
        (tuple[Literal["a", "b"], ...], "list out of a, b"),
        (list[list[float]], "list of lists of numbers"),
        (dict[str, float], "table of numbers"),
        (Mapping[str, Any], "table"),
        (Any, "anything"),
    ],
    ids=str,
)
def test_a_type_in_words(annotation: Any, words: str) -> None:
    model = create_model("Settings", one=(annotation, ...))
    assert types(model.model_json_schema()) == {"one": words}
