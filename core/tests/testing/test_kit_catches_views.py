"""A broken view does not get through the kit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from xm import ViewSpec
from xm.data.types import View
from xm.testing import ViewConformance
from xm.testing.views import _sounds

SUITE = ViewConformance()
TEXTS = ["One of them", "two of them"]


class Drawn(ViewConformance):
    draws = True


def sound(text: str, view: View) -> str:
    """The text, some times; nothing is wrong with it."""
    return " ".join([text] * (1 + round(view.params.get("strength", 1))))


def drawn(text: str, view: View) -> str:
    """A word is taken away; nothing is wrong with it."""
    words = text.split()
    words.pop(view.draw(text.encode()).randrange(len(words)))
    return " ".join(words)


def random(text: str, view: View) -> str:
    return f"{text} {torch.rand(1).item()}"


def by_object(text: Any, view: View) -> Any:
    return [f"{word} {id(text)}" for word in text]


def nothing(text: str, view: View) -> str:
    return text


def empty(text: str, view: View) -> str:
    return ""


def letters(text: str, view: View) -> list[str]:
    return list(text)


def one_strength(text: str, view: View) -> str:
    return text.upper()


def seeding(text: str, view: View) -> str:
    torch.manual_seed(0)
    return text.upper()


def in_place(decoded: Any, view: View) -> Any:
    decoded[0].mul_(0.5)
    return decoded


def loud(decoded: Any, view: View) -> Any:
    return 10 * decoded[0], decoded[1]


def other_rate(decoded: Any, view: View) -> Any:
    return decoded[0], 2 * decoded[1]


def integers(decoded: Any, view: View) -> Any:
    return (100 * decoded[0]).int(), decoded[1]


def fewer(decoded: Any, view: View) -> Any:
    return decoded[1:]


def spec(target: Callable[..., Any], modality: str = "text", strength: str = "times", name: str = "") -> ViewSpec:
    return ViewSpec(
        name=name or target.__name__.replace("_", "-"),
        target=f"{__name__}:{target.__name__}",
        modality=modality,
        strength=strength,
        least=1,
        most=3,
    )


FRAMES = [[np.zeros((4, 6, 3), np.uint8), np.ones((4, 6, 3), np.uint8)]]
CASES = [
    (spec(random), SUITE.test_deterministic, TEXTS, "another view"),
    (spec(nothing), SUITE.test_sees_something_else, TEXTS, "changes none"),
    (spec(empty), SUITE.test_keeps_the_kind, TEXTS, "without words"),
    (spec(letters), SUITE.test_keeps_the_kind, TEXTS, "a list of a str"),
    (spec(one_strength), SUITE.test_strength, TEXTS, "are one view"),
    (spec(drawn), SUITE.test_numbers, TEXTS, "say draws = True"),
    (spec(sound), Drawn().test_numbers, TEXTS, "are one view"),
    (spec(seeding), SUITE.test_leaves_the_item_and_the_process_alone, TEXTS, "torch's random state"),
    (spec(in_place, "audio"), SUITE.test_leaves_the_item_and_the_process_alone, _sounds(), "the item was changed"),
    (spec(loud, "audio"), SUITE.test_keeps_the_kind, _sounds(), "exceed 1"),
    (spec(other_rate, "audio"), SUITE.test_keeps_the_kind, _sounds(), "of the same rate"),
    (spec(integers, "audio"), SUITE.test_keeps_the_kind, _sounds(), "float32"),
    (spec(fewer, "video"), SUITE.test_keeps_the_kind, FRAMES, "other frames"),
    (spec(by_object, "smell"), SUITE.test_deterministic, [["a", "b"]], "another view"),
    (spec(sound, name="two2"), SUITE.test_says_what_it_is, None, "can't end in a digit"),
    (spec(sound, name="a,b"), SUITE.test_says_what_it_is, None, "colon or a comma"),
]


@pytest.mark.parametrize(("given", "check", "decoded", "said"), CASES, ids=lambda part: getattr(part, "name", ""))
def test_it_is_caught(given: ViewSpec, check: Callable[..., None], decoded: Any, said: str) -> None:
    with torch.random.fork_rng(devices=[]), pytest.raises(AssertionError, match=said):
        check(given, decoded) if decoded is not None else check(given)


CHECKS = [name for name in dir(ViewConformance) if name.startswith("test_") and name != "test_registered_lazily"]


@pytest.mark.parametrize("name", CHECKS)
def test_a_sound_one_is_not(name: str) -> None:
    for suite, given in ((SUITE, spec(sound)), (Drawn(), spec(drawn, strength=""))):
        check = getattr(suite, name)
        if name == "test_strength" and not given.strength:
            continue
        check(given) if name == "test_says_what_it_is" else check(given, TEXTS)


def test_a_view_that_is_not_registered_is_caught() -> None:
    with pytest.raises(AssertionError, match="unknown view 'text/sound'"):
        SUITE.test_registered_lazily(spec(sound))
