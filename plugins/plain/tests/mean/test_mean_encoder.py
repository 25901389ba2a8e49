"""The encoder `mean`, with encoders made on the spot, and with a real one under two length policies."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from xm import Encoder, EncoderSpec, ItemError, Prototypes, UsageError, fingerprint_of, hookimpl
from xm.encoders import make_encoder
from xm.learning import Inputs
from xm.plugins import Weights, manager, of_files
from xm.testing import EncoderConformance

CPU = torch.device("cpu")


class Power(Encoder):
    """An item's numbers to a power, (3,) arrays: the argument is "SPACE/POWER/NAMES"."""

    modality, dim, suffixes = "smell", 3, (".smell",)

    def __init__(self, argument: str = "") -> None:
        self.argument = argument
        space, power, names = argument.split("/")
        self.space, self.power, self.names = space, int(power), tuple(names.split())
        self.dim = 4 if space == "wide" and self.power > 1 else 3

    def fingerprint(self) -> str:
        return fingerprint_of("power", self.argument)

    def pretrained(self) -> tuple[Weights, ...]:
        return (of_files(Path(f"{self.space}.bin")),)

    def prototypes(self) -> Prototypes | None:
        return Prototypes(self.names, self.power * torch.eye(3)[: len(self.names)]) if self.names else None

    def trunk(self, items: Sequence[Any]) -> Inputs:
        if any(not isinstance(item, np.ndarray) for item in items):
            raise ItemError(next(i for i in items if not isinstance(i, np.ndarray)), "is no array")
        features = torch.from_numpy(np.stack(items)).float() ** self.power
        scores = features.softmax(dim=1)[:, : len(self.names)]
        return {"features": features, "scores": scores} if self.names else {"features": features}


@pytest.fixture(autouse=True)
def _plugin() -> Iterator[None]:
    module = ModuleType("mean_toys")
    module.Power = Power  # type: ignore[attr-defined]
    sys.modules["mean_toys"] = module

    class Toys:
        @hookimpl
        def encoders(self) -> list[EncoderSpec]:
            return [EncoderSpec(name="power", target="mean_toys:Power", modality="smell", argument="anything")]

    manager().register(Toys(), "mean-toys")
    yield
    manager().unregister("mean-toys")
    del sys.modules["mean_toys"]


def made(argument: str) -> Encoder:
    return make_encoder(f"mean:{argument}", manager(), CPU, "smell")


class _Suite(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("mean")

    @pytest.fixture
    def items(self) -> Sequence[Any]:
        return list(np.random.default_rng(0).standard_normal((6, 3)))

    @pytest.fixture
    def bad_item(self) -> Any:
        return "no smell"

    def test_says_what_it_is(self, spec: EncoderSpec, encoder: Encoder) -> None:
        """What it reads depends on its parts, so the spec names nothing."""
        assert spec.suffixes == () and encoder.suffixes == (".smell",)
        assert (encoder.modality, encoder.dim, encoder.space) == ("smell", 3, "s")


class TestMean(_Suite):
    argument = "power:s/1/*2+power:s/2/"


class TestMeanOfNamed(_Suite):
    argument = "power:s/1/rose moss+power:s/3/rose moss*0.5"


def test_by_hand() -> None:
    """(3, 0, 4) is (.6, 0, .8) at unit length, and (9, 0, 16) squared: their mean by 3 and 1, at unit length."""
    item = np.array([3.0, 0.0, 4.0])
    mixed = 3 * torch.tensor([0.6, 0, 0.8]) + torch.tensor([9.0, 0, 16]) / 337**0.5
    torch.testing.assert_close(made("power:s/1/*3 + power:s/2/").encode([item])[0], mixed / mixed.norm())


def test_prototypes_of_the_same_names_are_averaged() -> None:
    encoder = made("power:s/1/a b*3+power:s/5/a b")
    found = encoder.prototypes()
    assert found is not None and found.names == ("a", "b")
    torch.testing.assert_close(found.weight, 2 * torch.eye(3)[:2])
    item = np.array([0.1, 0.2, 0.3])
    scores = [make_encoder(f"power:s/{p}/a b", manager(), CPU).trunk([item])["scores"] for p in (1, 5)]
    torch.testing.assert_close(encoder.trunk([item])["scores"], 0.75 * scores[0] + 0.25 * scores[1])


@pytest.mark.parametrize("other", ["power:s/5/b a", "power:s/5/a", "power:s/5/"])
def test_other_names_are_none(other: str) -> None:
    encoder = made(f"power:s/1/a b+{other}")
    assert encoder.prototypes() is None
    assert set(encoder.trunk([np.ones(3)])) == {"features"}


def test_fingerprints_are_of_parts_and_weights() -> None:
    arguments = ("power:s/1/+power:s/2/", "power:s/2/+power:s/1/", "power:s/1/*2+power:s/2/", "power:s/1/+power:s/3/")
    assert len({made(a).fingerprint() for a in arguments}) == 4
    concat = make_encoder("concat:power:s/1/+power:s/2/", manager(), CPU)
    assert concat.fingerprint() != made(arguments[0]).fingerprint()


def test_weights_are_those_of_the_parts_each_once() -> None:
    for kind, second in (("mean", "s"), ("concat", "t")):
        encoder = make_encoder(f"{kind}:power:s/1/+power:{second}/2/", manager(), CPU)
        assert [w.name for w in encoder.pretrained()] == sorted({"s.bin", f"{second}.bin"})


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("power:s/1/+power:t/2/", "in the space 's', power:t/2/ in 't'; .* side by side, concat:power:s/1/.power:t/2/"),
        ("power:wide/1/+power:wide/2/", "power:wide/1/ gives 3 numbers, power:wide/2/ 4"),
        ("power:s/1/", "mean:power:s/1/: name two different encoders or more, as in mean:yamnet"),
        ("power:s/1/*x+power:s/2/", "number above 0"),
        ("power:s/1/+powr:s/2/", "unknown encoder 'powr': did you mean 'power'"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(argument: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        made(argument)
    assert "\n" not in str(caught.value)


def test_two_length_policies_of_one_sound_encoder() -> None:
    if "yamnet" not in manager().encoders or manager().encoders["yamnet"].why_not():
        pytest.skip("yamnet is not installed")
    rng = np.random.default_rng(0)
    items = [((0.1 * rng.standard_normal(40_000)).astype(np.float32), 16_000) for _ in range(2)]
    encoder = make_encoder("mean:yamnet:length=crop+yamnet:length=chunks", manager(), CPU, "audio")
    found, alone = encoder.prototypes(), make_encoder("yamnet", manager(), CPU).prototypes()
    assert encoder.space == "yamnet" and found is not None and alone is not None and found.names == alone.names
    torch.testing.assert_close(found.weight, alone.weight)
    assert encoder.encode(items).shape == (2, 1024)
