"""The aligner `names`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import AlignContext, AlignerSpec, Encoder, Prototypes, UsageError
from xm.learning import Inputs
from xm.plugins import manager
from xm.testing import AlignerConformance
from xm_aligners.names.aligner import Conse, Names, Rows


class TestConformance(AlignerConformance):
    @pytest.fixture
    def spec(self) -> AlignerSpec:
        return manager().aligners.find("names")


WORDS = {"cat": (1.0, 0.0, 0.0), "dog": (0.0, 1.0, 0.0), "car": (0.0, 0.0, 1.0), "pet": (1.0, 1.0, 0.0)}


class Text(Encoder):
    modality, space, dim, accepts_names = "text", "words", 3, True

    def fingerprint(self) -> str:
        return "words"

    def trunk(self, items: Sequence[Any]) -> Inputs:
        return {"features": torch.tensor([WORDS[item] for item in items])}


class Classifier(Encoder):
    """Knows three classes; an item is its class scores."""

    dim = 2

    def __init__(self, modality: str, weight: Tensor | None) -> None:
        self.modality, self.space, self.weight = modality, modality, weight

    def fingerprint(self) -> str:
        return self.modality

    def trunk(self, items: Sequence[Any]) -> Inputs:
        return {"features": torch.zeros(len(items), 2), "scores": torch.tensor(items)}

    def prototypes(self) -> Prototypes | None:
        return None if self.weight is None else Prototypes(("cat", "dog", "car"), self.weight)


ROWS = torch.tensor([[3.0, 1.0], [1.0, 3.0], [-1.0, -1.0]])


def context(source: Encoder, target: Encoder, namer: Encoder | None = None) -> AlignContext:
    return AlignContext(source, target, namer or Text(), None, lambda encoder, items: encoder.trunk(items))


def test_conse_by_hand() -> None:
    """Of the scores 0.6, 0.3 and 0.1 two speak, as 2/3 and 1/3: (2, 1, 0) / 3, then to unit length."""
    map = Names({"top": 2}).fit(context(Classifier("audio", ROWS), Text()))
    out = map(Classifier("audio", ROWS).trunk([[0.6, 0.3, 0.1], [0.0, 0.0, 0.4], [0.0, 0.0, 0.0]]))
    expected = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(out, normalize(expected, dim=1))


def test_more_speakers_than_names() -> None:
    out = Conse(torch.eye(3), top=10)({"scores": torch.tensor([[1.0, 2.0, 2.0]])})
    torch.testing.assert_close(out, torch.tensor([[1.0, 2.0, 2.0]]) / 3)


def test_a_name_lands_at_its_row_and_a_new_one_among_its_neighbours() -> None:
    """The target's mean row is (1, 1), so that centred rows point to (1, 0), (0, 1) and (-1, -1)."""
    map = Names({"gammas": [1.0], "alphas": [1e-6]}).fit(context(Text(), Classifier("image", ROWS)))
    out = map(Text().trunk(["cat", "dog", "car", "pet"]))
    half = 0.5**0.5
    torch.testing.assert_close(out[:3], torch.tensor([[1.0, 0.0], [0.0, 1.0], [-half, -half]]), atol=1e-4, rtol=0)
    pet = normalize(out[3], dim=0)
    torch.testing.assert_close(pet, torch.tensor([half, half]), atol=1e-4, rtol=0)


def test_both_steps_make_one_way() -> None:
    audio, image = Classifier("audio", ROWS), Classifier("image", ROWS)
    map = Names({"gammas": [1.0], "alphas": [1e-6]}).fit(context(audio, image))
    out = map(audio.trunk([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]))
    torch.testing.assert_close(out[0], torch.tensor([1.0, 0.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(out[1], map[1](normalize(torch.tensor([[1.0, 1.0, 0.0]]), dim=1))[0])


def test_leave_one_out_in_closed_form_is_brute_force() -> None:
    """Width and regulariser are those with the least error when each name in turn is left out and predicted."""
    generator = torch.Generator().manual_seed(1)
    names = normalize(torch.randn(12, 4, generator=generator), dim=1)
    rows = names @ torch.randn(4, 3, generator=generator) + 0.3 * torch.randn(12, 3, generator=generator)
    gammas, alphas = (0.1, 1.0, 10.0), (1e-3, 0.1, 3.0)

    def error(gamma: float, alpha: float) -> float:
        total = 0.0
        for i in range(12):
            rest = [j for j in range(12) if j != i]
            x, y = names[rest].double(), rows[rest].double()
            kernel = torch.exp(-gamma * torch.cdist(x, x).square())
            dual = torch.linalg.solve(kernel + alpha * torch.eye(11, dtype=torch.float64), y)
            predicted = torch.exp(-gamma * torch.cdist(names[[i]].double(), x).square()) @ dual
            total += float((predicted - rows[i].double()).square().sum())
        return total

    errors = {pair: error(*pair) for pair in itertools.product(gammas, alphas)}
    gamma, alpha = min(errors, key=errors.__getitem__)
    fitted = Rows.fit(names, rows, gammas, alphas)
    assert float(fitted.gamma) == pytest.approx(gamma)
    kernel = torch.exp(-gamma * torch.cdist(names, names).square())
    expected = kernel @ torch.linalg.solve(kernel + alpha * torch.eye(12), rows)
    torch.testing.assert_close(fitted(names), expected, atol=1e-4, rtol=1e-4)


def test_says_what_is_missing() -> None:
    image, audio = Classifier("image", ROWS), Classifier("audio", None)
    assert Names().why_not(context(audio, image)) == (
        "the audio encoder (audio) has no classifier whose names could serve"
    )
    assert Names().why_not(replace(context(image, Text()), namer=None)) == "no encoder reads names"
    assert Names().why_not(context(Text(), image)) is None


def test_at_least_one_name_speaks() -> None:
    with pytest.raises(UsageError, match="Names: top=0"):
        Names({"top": 0})


def test_descriptions_of_prototypes_move_them_to_the_mean() -> None:
    """A cat is also called a pet: its direction is half way between, where it was the cat's alone."""
    source = Classifier("audio", ROWS)
    plain = context(source, Text())

    def described(encoder: Encoder) -> Prototypes | None:
        found = encoder.prototypes()
        return found and replace(found, texts=(("pet",), (), ()))

    item = source.trunk([[1.0, 0.0, 0.0]])
    for given, expected in (
        (plain, (1.0, 0.0, 0.0)),
        (replace(plain, prototypes=described), (1.0 + 0.5**0.5, 0.5**0.5, 0.0)),
    ):
        direction = normalize(torch.tensor([expected]), dim=1)
        torch.testing.assert_close(Names({"top": 1}).fit(given)(item), direction)
