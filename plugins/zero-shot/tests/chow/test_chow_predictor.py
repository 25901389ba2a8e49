"""The predictor `chow`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from xm import PredictorSpec, Stream
from xm.learning import NONE, decisions
from xm.plugins import manager
from xm.testing import PredictorConformance
from xm_zero_shot.chow.predictor import Chow


class TestConformance(PredictorConformance):
    @pytest.fixture
    def spec(self) -> PredictorSpec:
        return manager().predictors.find("chow")


class TestConformanceWithTemperature(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {"least": 0.9, "temperature": 0.5}


class Given(nn.Module):
    """Logits as they are in the inputs."""

    def forward(self, stream: Stream) -> Tensor:
        return stream.x["logits"]


PROBABILITIES = torch.tensor([[0.6, 0.3, 0.1], [0.4, 0.35, 0.25], [0.1, 0.1, 0.8]])
INPUTS = Stream("image", {"logits": PROBABILITIES.log()})


@pytest.mark.parametrize(
    ("least", "expected"), [(0.0, [0, 0, 2]), (0.5, [0, NONE, 2]), (0.7, [NONE, NONE, 2]), (0.9, [NONE] * 3)]
)
def test_by_hand(least: float, expected: list[int]) -> None:
    rule = Chow({"least": least})
    found = rule.predict(Given(), INPUTS)
    assert decisions(rule, found).tolist() == expected
    decided = torch.tensor(expected) != NONE
    torch.testing.assert_close(found[decided], PROBABILITIES[decided])
    torch.testing.assert_close(found[~decided], PROBABILITIES[~decided] / 2)


def test_the_temperature_makes_it_less_sure() -> None:
    sharp, flat = (Chow({"least": 0.5, "temperature": t}).predict(Given(), INPUTS) for t in (1.0, 10.0))
    assert decisions(Chow(), sharp).tolist() == [0, NONE, 2]
    assert decisions(Chow(), flat).tolist() == [NONE] * 3


def test_of_rules_that_abstain_as_often_it_errs_least() -> None:
    """Chow's theorem, where the probabilities are the true ones: against abstaining from the same number at random."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(4000, 5, generator=generator)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
    found = decisions(Chow(), Chow({"least": 0.6}).predict(Given(), Stream("image", {"logits": logits})))
    kept = found != NONE
    plain = float((logits.argmax(dim=1) == labels).float().mean())
    assert 0.3 < float(kept.float().mean()) < 0.9
    assert float((found == labels)[kept].float().mean()) > plain + 0.1
