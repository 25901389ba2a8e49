"""The strategy `zero-shot`."""

from __future__ import annotations

import pytest
import torch

from xm import Context, StrategySpec, Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, Tower, Towers, adapt
from xm.plugins import manager
from xm.testing import StrategyConformance
from xm_zero_shot.zero_shot.strategy import ZeroShot


class TestConformance(StrategyConformance):
    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("zero-shot")


def test_by_hand() -> None:
    """Texts: two sentences for "a", one for "b"; sounds: one each. Modalities count equally."""
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    audio = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    context = Context(
        classes=("a", "b"),
        target="image",
        dim=2,
        train={
            "text": Stream("text", {EMBEDDING: text}, torch.tensor([0, 0, 1])),
            "audio": Stream("audio", {EMBEDDING: audio}, torch.tensor([0, 1])),
        },
        val=None,
        named=frozenset({"text"}),
        towers=Towers({"image": Tower(Tail())}),
    )
    strategy = ZeroShot({"scale": 10})
    model = adapt(strategy, context)
    # Text means: a (1, 1) / sqrt 2, b (0, -1). With audio: a (1 + 1 / sqrt 2, 1 / sqrt 2), b (-1, -1), to unit length.
    a = torch.tensor([1 + 0.5**0.5, 0.5**0.5])
    weight = torch.stack([a / a.norm(), torch.tensor([-1.0, -1.0]) / 2**0.5])
    logits = model(Stream("image", {"features": torch.tensor([[3.0, 0.0], [0.0, -5.0]])}))
    torch.testing.assert_close(logits, 10 * torch.tensor([[1.0, 0.0], [0.0, -1.0]]) @ weight.T)
    assert strategy.init_name(context) == "text+audio"
    assert not any(p.requires_grad for p in model.parameters())


def test_it_is_a_baseline_without_samples_of_the_target() -> None:
    spec = manager().strategies.find("zero-shot")
    assert spec.baseline and not spec.needs_target
