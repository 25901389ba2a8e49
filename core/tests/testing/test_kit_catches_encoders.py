"""A broken encoder does not get through the kit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Encoder, EncoderSpec, ItemError
from xm.learning.stream import Inputs
from xm.testing import EncoderConformance

ITEMS = ["one", "two", "three"]
COUNTER = itertools.count()


class Sound(Encoder):
    """A text's letters; nothing is wrong with it."""

    modality, space, dim, suffixes = "text", "letters", 26, (".txt",)

    def __init__(self, argument: str = "") -> None:
        self.argument = argument

    def fingerprint(self) -> str:
        return "letters"

    def trunk(self, items: Sequence[Any]) -> Inputs:
        return {"features": torch.stack([self.count(item) for item in items])}

    def count(self, item: Any) -> Tensor:
        if not isinstance(item, str):
            raise ItemError(item, "is no text")
        return torch.tensor([float(item.count(chr(ord("a") + i))) for i in range(self.dim)])


class Long(Sound):
    """Not of unit length."""

    def encode(self, items: Sequence[Any]) -> Tensor:
        return self.trunk(items)["features"]


class Batchwise(Sound):
    """Centres the items of a batch together."""

    def trunk(self, items: Sequence[Any]) -> Inputs:
        x = super().trunk(items)["features"]
        return {"features": x - 0.5 * x.mean(dim=0)}


class Lettered(Sound):
    """Each letter is a place; nothing is wrong with it."""

    pooled = True

    def places(self, items: Sequence[Any]) -> dict[str, Tensor]:
        for item in items:
            self.count(item)
        texts = [[c for c in item if c.isalpha()] for item in items]
        longest = max(map(len, texts))
        tokens, mask = torch.zeros(len(items), longest, self.dim), torch.zeros(len(items), longest)
        for i, text in enumerate(texts):
            for j, letter in enumerate(text):
                tokens[i, j, ord(letter) - ord("a")], mask[i, j] = 1, 1
        grid = torch.linspace(0, 1, longest)[:, None].expand(len(items), -1, 1)
        return {"tokens": tokens, "mask": mask.bool(), "grid": grid}


class OtherMean(Lettered):
    """Says that the mean of places is the vector, though it is not."""

    def places(self, items: Sequence[Any]) -> dict[str, Tensor]:
        x = super().places(items)
        return {**x, "tokens": x["tokens"].roll(1, dims=2)}


class NoMask(Lettered):
    def places(self, items: Sequence[Any]) -> dict[str, Tensor]:
        x = super().places(items)
        return {**x, "mask": torch.ones_like(x["mask"], dtype=torch.float32)}


class FarOff(Lettered):
    def places(self, items: Sequence[Any]) -> dict[str, Tensor]:
        x = super().places(items)
        return {**x, "grid": 7 * x["grid"]}


class Narrow(Lettered):
    def places(self, items: Sequence[Any]) -> dict[str, Tensor]:
        x = super().places(items)
        return {**x, "tokens": x["tokens"][..., :20]}


class Together(Lettered):
    """Centres the places of a batch together."""

    pooled = False

    def places(self, items: Sequence[Any]) -> dict[str, Tensor]:
        x = super().places(items)
        mean = x["tokens"].sum(dim=(0, 1)) / x["mask"].sum()
        return {**x, "tokens": (x["tokens"] - mean) * x["mask"][..., None]}


class Constant(Sound):
    def count(self, item: Any) -> Tensor:
        return torch.ones(self.dim)


class Random(Sound):
    def trunk(self, items: Sequence[Any]) -> Inputs:
        return {"features": torch.randn(len(items), self.dim)}


class Restless(Sound):
    """A new fingerprint each time."""

    def fingerprint(self) -> str:
        return str(next(COUNTER))


class Double(Sound):
    def encode(self, items: Sequence[Any]) -> Tensor:
        return super().encode(items).double()


class Split(Sound):
    """Its trunk and tail give other vectors than `encode`."""

    def encode(self, items: Sequence[Any]) -> Tensor:
        return normalize(super().encode(items) + 0.1, dim=1)


class Wordy(Sound):
    """Refuses an item without naming it, in two lines."""

    def count(self, item: Any) -> Tensor:
        if not isinstance(item, str):
            raise ItemError("the item", "can't\nbe read")
        return super().count(item)


class Swallowing(Sound):
    """Takes anything."""

    def count(self, item: Any) -> Tensor:
        return super().count(str(item))


class Elsewhere(Sound):
    """Is of another modality than its spec says."""

    modality = "audio"


SUITE = EncoderConformance()
Check = Callable[[EncoderSpec, Encoder], None]


def spec(encoder: type[Encoder]) -> EncoderSpec:
    target = f"{__name__}:{encoder.__name__}"
    return EncoderSpec(name=encoder.__name__.lower(), target=target, modality="text", suffixes=(".txt",))


CASES: list[tuple[type[Encoder], Check]] = [
    (Long, lambda _, encoder: SUITE.test_unit_norm(encoder, ITEMS)),
    (Double, lambda _, encoder: SUITE.test_unit_norm(encoder, ITEMS)),
    (Batchwise, lambda _, encoder: SUITE.test_batch_size_does_not_matter(encoder, ITEMS)),
    (Constant, lambda _, encoder: SUITE.test_items_differ(encoder, ITEMS)),
    (Random, lambda given, encoder: SUITE.test_deterministic(given, encoder, ITEMS)),
    (Restless, lambda given, encoder: SUITE.test_fingerprint(given, encoder)),
    (Split, lambda _, encoder: SUITE.test_depth_0_is_encode(encoder, ITEMS)),
    (Wordy, lambda _, encoder: SUITE.test_bad_item(encoder, 7)),
    *(
        (one, lambda _, encoder: SUITE.test_places(encoder, ITEMS))
        for one in (OtherMean, NoMask, FarOff, Narrow, Together)
    ),
    (Elsewhere, lambda given, encoder: SUITE.test_says_what_it_is(given, encoder)),
]


@pytest.mark.parametrize(("encoder", "check"), CASES, ids=lambda part: getattr(part, "__name__", None))
def test_it_is_caught(encoder: type[Encoder], check: Check) -> None:
    given = spec(encoder)
    with torch.random.fork_rng(devices=[]), pytest.raises(AssertionError):
        check(given, given.load()(""))


def test_taking_anything_is_caught() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        SUITE.test_bad_item(Swallowing(), 7)


@pytest.mark.parametrize("check", [check for _, check in CASES])
def test_a_sound_one_is_not(check: Check) -> None:
    check(spec(Lettered), Lettered())
