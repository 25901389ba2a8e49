"""A broken aligner does not get through the kit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xm import AlignContext, Aligner, AlignerSpec, UsageError
from xm.alignment.aligner import Sides
from xm.alignment.maps import Affine, ridge
from xm.encoders.encoder import Tail
from xm.learning.stream import Inputs
from xm.testing import AlignerConformance
from xm.testing.synthetic import align_context


class Sound(Aligner):
    """Least squares on pairs; nothing is wrong with it."""

    uses_pairs = True

    def why_not(self, context: AlignContext) -> str | None:
        return "there are no pairs" if context.pairs is None else None

    def fit(self, context: AlignContext) -> nn.Module:
        return self.made(self.affine(context))

    def affine(self, context: AlignContext) -> Affine:
        assert context.pairs is not None
        tail = Tail()
        return ridge(tail(context.pairs.source), tail(context.pairs.target), (0.1,))

    def made(self, affine: Affine) -> nn.Module:
        return nn.Sequential(Tail(), affine)

    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        return nn.Sequential(Tail(), Affine(tensors["1.weight"], tensors["1.bias"]))


class Promising(Sound):
    """Says that it can, where it can't."""

    def why_not(self, context: AlignContext) -> str | None:
        return None


class Dishonest(Sound):
    """Uses pairs and denies it."""

    uses_pairs = False


class Random(Sound):
    def made(self, affine: Affine) -> nn.Module:
        return super().made(Affine(affine.weight + 0.01 * torch.randn_like(affine.weight), affine.bias))


class Unaligned(Sound):
    """Takes everything somewhere, and nothing home."""

    def made(self, affine: Affine) -> nn.Module:
        return super().made(Affine(affine.weight.flip(1), affine.bias))


class Trainable(Sound):
    def made(self, affine: Affine) -> nn.Module:
        linear = nn.Linear(*affine.weight.shape)
        linear.load_state_dict({"weight": affine.weight.T, "bias": affine.bias})
        return nn.Sequential(Tail(), linear)


class Forgetful(Sound):
    """Restores the map without its intercept."""

    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        return nn.Sequential(Tail(), Affine(tensors["1.weight"], torch.zeros_like(tensors["1.bias"])))


class Centring(nn.Module):
    """Takes the batch's own mean away."""

    def forward(self, x: Inputs) -> Tensor:
        unit: Tensor = Tail()(x)
        return unit - unit.mean(dim=0)


class Batchwise(Sound):
    def made(self, affine: Affine) -> nn.Module:
        return nn.Sequential(Centring(), affine)


class Refusing(Sound):
    """Leaves the target where it is, and yet maps both sides only."""

    def fit(self, context: AlignContext) -> nn.Module:
        raise UsageError("it maps both sides")

    def sides(self, context: AlignContext) -> Sides:
        return Sides(Sound().fit(context))


class Twofold(Sound):
    """`fit` and `sides` disagree."""

    def sides(self, context: AlignContext) -> Sides:
        affine = self.affine(context)
        return Sides(nn.Sequential(Tail(), Affine(affine.weight, affine.bias + 1)))


class TwoSided(Sound):
    """Least squares, and then both sides turned; nothing is wrong with it."""

    @property
    def moves_target(self) -> bool:
        return True

    def fit(self, context: AlignContext) -> nn.Module:
        raise UsageError("it maps both sides")

    def sides(self, context: AlignContext) -> Sides:
        affine = self.affine(context)
        turn = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(1))).Q
        return self.pair(Affine(affine.weight @ turn, affine.bias @ turn), Affine(turn, torch.zeros(12)))

    def pair(self, source: Affine, target: Affine) -> Sides:
        return Sides(nn.Sequential(Tail(), source), nn.Sequential(Tail(), target))


class Leaving(TwoSided):
    """Restores the source's map, and forgets the target's."""

    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        weight, bias = tensors["1.weight"], tensors["1.bias"]
        return nn.Sequential(Tail(), Affine(torch.eye(12) if len(weight) == 12 else weight, bias))


class Apart(TwoSided):
    """Turns the sides differently."""

    def pair(self, source: Affine, target: Affine) -> Sides:
        return super().pair(source, Affine(target.weight.flip(1), target.bias))


class Uneven(TwoSided):
    """Gives the sides different numbers of dimensions."""

    def pair(self, source: Affine, target: Affine) -> Sides:
        return super().pair(source, Affine(target.weight[:, :5], target.bias[:5]))


class Wavering(TwoSided):
    """Maps the target at random."""

    def pair(self, source: Affine, target: Affine) -> Sides:
        return super().pair(source, Affine(target.weight, target.bias + 0.01 * torch.randn(12)))


class Staying(TwoSided):
    """Says that it moves the target, and does not."""

    def pair(self, source: Affine, target: Affine) -> Sides:
        return Sides(nn.Sequential(Tail(), source))


class Secretive(TwoSided):
    """Moves the target, and does not say so."""

    @property
    def moves_target(self) -> bool:
        return False


class Longwinded(TwoSided):
    def fit(self, context: AlignContext) -> nn.Module:
        raise UsageError("it maps\nboth sides")


SUITE = AlignerConformance()
Check = Callable[[AlignerSpec, AlignContext, tuple[Inputs, Tensor], Path], Any]


def spec(aligner: type[Aligner]) -> AlignerSpec:
    return AlignerSpec(name=aligner.__name__.lower(), target=f"{__name__}:{aligner.__name__}")


CASES: list[tuple[type[Aligner], Check, str]] = [
    (Promising, lambda given, *_: SUITE.test_says_what_is_missing(given, "heard"), "a map was promised"),
    (Promising, lambda given, context, *_: SUITE.test_says_whether_it_uses_pairs(given, context), "does not miss"),
    (Dishonest, lambda given, context, *_: SUITE.test_says_whether_it_uses_pairs(given, context), "it misses pairs"),
    (Random, lambda given, context, *_: SUITE.test_deterministic(given, context), "two maps"),
    (Random, lambda given, context, *_: SUITE.test_leaves_the_process_alone(given, context), "random state"),
    (Unaligned, lambda given, context, held, _: SUITE.test_brings_things_home(given, context, held), "mean cosine"),
    (Trainable, lambda given, context, held, _: SUITE.test_map(given, context, held), "not frozen"),
    (Batchwise, lambda given, context, held, _: SUITE.test_map(given, context, held), "not close"),
    (Forgetful, lambda given, *more: SUITE.test_restore(given, *more), "not close"),
    (Refusing, lambda given, context, held, _: SUITE.test_fit(given, context, held), "`fit` refuses"),
    (Twofold, lambda given, context, held, _: SUITE.test_fit(given, context, held), "two maps"),
    (Leaving, lambda given, *more: SUITE.test_restore(given, *more), "not close"),
    (Apart, lambda given, context, held, _: SUITE.test_brings_things_home(given, context, held), "mean cosine"),
    (Uneven, lambda given, context, held, _: SUITE.test_map(given, context, held), "5 and 12 dimensions"),
    (Wavering, lambda given, context, *_: SUITE.test_deterministic(given, context), "two maps"),
    (Staying, lambda given, context, held, _: SUITE.test_map(given, context, held), "no map of it"),
    (Secretive, lambda given, context, held, _: SUITE.test_map(given, context, held), "does not say so"),
    (Longwinded, lambda given, context, held, _: SUITE.test_fit(given, context, held), "not one line"),
]


@pytest.fixture
def things() -> tuple[AlignContext, tuple[Inputs, Tensor]]:
    context = align_context("heard")
    return context, (context.source.trunk(range(120, 160)), context.target.encode(range(120, 160)))


@pytest.mark.parametrize(("aligner", "check", "said"), CASES, ids=lambda part: getattr(part, "__name__", None))
def test_it_is_caught(aligner: type[Aligner], check: Check, said: str, things: Any, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]), pytest.raises(AssertionError, match=said):
        check(spec(aligner), *things, tmp_path)


@pytest.mark.parametrize("check", [check for _, check, _ in CASES])
@pytest.mark.parametrize("sound", (Sound, TwoSided))
def test_a_sound_one_is_not(sound: type[Aligner], check: Check, things: Any, tmp_path: Path) -> None:
    check(spec(sound), *things, tmp_path)
