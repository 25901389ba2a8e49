"""The objective `evidential`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy.special import digamma, gammaln
from torch import Tensor

from xm import ObjectiveSpec, UsageError
from xm.plugins import manager
from xm.testing import ObjectiveConformance
from xm_probes.evidential.objective import Evidential


class TestConformance(ObjectiveConformance):
    @pytest.fixture
    def spec(self) -> ObjectiveSpec:
        return manager().objectives.find("evidential")


class TestConformanceAtOnce(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {"anneal": 0}


def drawn(n: int = 40, classes: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = 4 * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (n,), generator=generator)


def at(step: int, steps: int = 50, **settings: Any) -> Evidential:
    made = Evidential(settings)
    made.step, made.steps = step, steps
    return made


@pytest.mark.parametrize(("step", "share"), ((0, 0.0), (1, 0.1), (5, 0.5), (10, 1.0), (49, 1.0)))
def test_is_the_published_loss(step: int, share: float) -> None:
    """Equation 4 and the closed form of the divergence, a sample and a class at a time; 10 of 50 steps."""
    logits, labels = drawn()
    losses = []
    for row, y in zip(logits.numpy(), labels.tolist(), strict=True):
        alpha = np.log1p(np.exp(row)) + 1
        loss = digamma(alpha.sum()) - digamma(alpha[y])
        tilde = [1.0 if k == y else a for k, a in enumerate(alpha)]
        kl = gammaln(sum(tilde)) - gammaln(len(tilde)) - sum(gammaln(a) for a in tilde)
        kl += sum((a - 1) * (digamma(a) - digamma(sum(tilde))) for a in tilde)
        losses.append(loss + share * kl)
    assert at(step)(logits, labels).item() == pytest.approx(np.mean(losses), abs=1e-6)
    weights = torch.linspace(0, 2, len(labels), dtype=torch.float64)
    found = at(step)(logits, labels, weights).item()
    assert found == pytest.approx(np.average(losses, weights=weights.numpy()), abs=1e-6)


def test_is_the_expected_cross_entropy_over_draws() -> None:
    """Without the divergence: minus the logarithm of the label's probability, over draws of the Dirichlet."""
    logits, labels = drawn(n=4)
    alpha = torch.nn.functional.softplus(logits) + 1
    rng = np.random.default_rng(1)
    losses = [-np.log(rng.dirichlet(a, 200_000)[:, y]).mean() for a, y in zip(alpha.numpy(), labels, strict=True)]
    assert at(0)(logits, labels).item() == pytest.approx(np.mean(losses), abs=1e-2)


def test_outside_of_a_fit_the_divergence_counts_in_full() -> None:
    logits, labels = drawn()
    assert Evidential()(logits, labels).item() == at(49)(logits, labels).item()
    assert at(0, anneal=0)(logits, labels).item() == at(49)(logits, labels).item()
    assert at(49, divergence=0)(logits, labels).item() == at(0)(logits, labels).item()


def test_a_wrong_setting_is_told_in_a_line() -> None:
    with pytest.raises(UsageError, match=r"unknown setting 'aneal' \(did you mean 'anneal'\?\)"):
        Evidential({"aneal": 0.1})
