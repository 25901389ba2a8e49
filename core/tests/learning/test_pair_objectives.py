"""Objectives of alignments: core's own, how they are found, and what the kit catches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from xm import ObjectiveSpec, PairBatch, PairObjective
from xm.foundation.errors import UsageError
from xm.learning.objectives import InfoNce, cross_entropy, find_objective, make_pair_objective
from xm.plugins.plugin_manager import PluginManager, manager
from xm.testing import PairObjectiveConformance


def flat(source: tuple[float, ...], target: tuple[float, ...]) -> PairBatch:
    """Pairs of unit vectors of the plane at these angles, in degrees."""
    sides = [torch.tensor(side, dtype=torch.float64).deg2rad() for side in (source, target)]
    x, y = (torch.stack((side.cos(), side.sin()), dim=1) for side in sides)
    return PairBatch(x, y, y)


def infonce(**settings: Any) -> InfoNce:
    """In double precision, with the very temperature asked for."""
    made = InfoNce(settings)
    with torch.no_grad():
        made.double().log_scale.fill_(-math.log(made.config.temperature))
    return made


class TestInfoNce(PairObjectiveConformance):
    uses_groups = False

    @pytest.fixture
    def spec(self) -> ObjectiveSpec:
        return manager().objectives.find("infonce")


def value(objective: InfoNce, batch: PairBatch) -> float:
    return float(objective(batch).detach())


def test_two_pairs_at_right_angles() -> None:
    """Each row and column is log(1 + e^-1) at temperature 1."""
    found = value(infonce(temperature=1), flat((0, 90), (0, 90)))
    assert found == pytest.approx(math.log(1 + math.exp(-1)), abs=1e-6)


def test_both_directions_count_half() -> None:
    """Cosines ((1, 0), (1/2, sqrt(3)/2)), at temperature 1/2."""
    root = math.sqrt(3) / 2
    rows = [math.log(1 + math.exp(2 * (0 - 1))), math.log(1 + math.exp(2 * (0.5 - root)))]
    columns = [math.log(1 + math.exp(2 * (0.5 - 1))), math.log(1 + math.exp(2 * (0 - root)))]
    found = value(infonce(temperature=0.5), flat((0, 60), (0, 90)))
    assert found == pytest.approx((sum(rows) + sum(columns)) / 4, abs=1e-6)


def test_the_temperature_starts_at_clips_and_trains() -> None:
    objective = InfoNce()
    assert float(objective.log_scale.detach().exp()) == pytest.approx(1 / 0.07, rel=1e-6)
    objective(flat((0, 60), (0, 90))).backward()
    assert objective.log_scale.grad is not None
    assert float(objective.log_scale.grad) != 0
    assert not InfoNce({"learn_temperature": False}).log_scale.requires_grad


def test_the_scale_is_capped() -> None:
    batch = flat((0, 80), (0, 90))
    assert value(infonce(temperature=0.001), batch) == pytest.approx(value(infonce(temperature=0.01), batch), abs=1e-9)
    assert value(infonce(temperature=0.001, max_scale=1.0), batch) == pytest.approx(
        value(infonce(temperature=1), batch)
    )


def test_objectives_are_found_by_name(plugins: PluginManager) -> None:
    assert find_objective("cross-entropy", plugins) is cross_entropy
    made = make_pair_objective("infonce", {"temperature": 0.5}, plugins)
    assert isinstance(made, InfoNce)
    assert made.config.temperature == 0.5
    assert make_pair_objective("infonce", None, plugins).config.temperature == 0.07


@pytest.mark.parametrize(
    ("name", "pairs", "said"),
    (
        ("infonce", False, "objective 'infonce' is for pairs: use it with xm align; here: cross-entropy"),
        ("cross-entropy", True, "objective 'cross-entropy' is for logits and labels, not for pairs; here: infonce"),
        ("infonse", True, "infonce"),
        ("cross-entropi", False, "cross-entropy"),
    ),
)
def test_the_wrong_objective_is_told_in_a_line(plugins: PluginManager, name: str, pairs: bool, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_pair_objective(name, None, plugins) if pairs else find_objective(name, plugins)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings", ({"temperature": 0}, {"temperature": "warm"}, {"temprature": 1}, {"max_scale": -1})
)
def test_a_wrong_setting_is_told_in_a_line(plugins: PluginManager, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        make_pair_objective("infonce", settings, plugins)
    assert next(iter(settings)) in str(caught.value)
    assert "\n" not in str(caught.value)


# --- The kit catches what is broken.


class PerPair(InfoNce):
    """A loss for each pair instead of a scalar."""

    def forward(self, batch: PairBatch) -> Tensor:
        return (batch.source - batch.target).square().sum(dim=1)


class OneSided(InfoNce):
    """The target has no gradient."""

    def forward(self, batch: PairBatch) -> Tensor:
        return super().forward(PairBatch(batch.source, batch.target.detach(), batch.frozen))


class Away(InfoNce):
    """Pairs are pushed apart."""

    def forward(self, batch: PairBatch) -> Tensor:
        return -super().forward(batch)


class First(InfoNce):
    """The first pair counts more."""

    def forward(self, batch: PairBatch) -> Tensor:
        return super().forward(batch) - (batch.source[0] * batch.target[0]).sum()


class Lengths(InfoNce):
    """The length between a pair, whose gradient is undefined where the sides are equal."""

    def forward(self, batch: PairBatch) -> Tensor:
        return (batch.source - batch.target).square().sum(dim=1).sqrt().mean()


class Noisy(InfoNce):
    """It draws, and doesn't say so."""

    def forward(self, batch: PairBatch) -> Tensor:
        return super().forward(batch) * (1 + torch.rand(()))


class OnlyStrangers(InfoNce):
    """Infinite where a group leaves nothing negative."""

    def forward(self, batch: PairBatch) -> Tensor:
        logits = self.log_scale.exp() * batch.source @ batch.target.T
        group = torch.arange(len(batch)) if batch.group is None else batch.group
        strangers = logits.masked_fill(group[:, None] == group, -torch.inf).logsumexp(dim=1)
        return (strangers - logits.diagonal()).mean()


class ByNumber(InfoNce):
    """The group's number matters."""

    def forward(self, batch: PairBatch) -> Tensor:
        own = torch.arange(len(batch))
        group = own if batch.group is None else batch.group
        shared = (group[:, None] == group) & ~torch.eye(len(batch), dtype=torch.bool)
        logits = self.log_scale.exp() * batch.source @ batch.target.T - shared * group
        return F.cross_entropy(logits, own)


class Hidden(InfoNce):
    """A scale that `state_dict` doesn't know."""

    def forward(self, batch: PairBatch) -> Tensor:
        logits = self.log_scale.exp() * batch.source @ batch.target.T
        return F.cross_entropy(logits, torch.arange(len(batch)))

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {}

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return None


class Suite(PairObjectiveConformance):
    __test__: ClassVar[bool] = False


@pytest.mark.parametrize(
    ("broken", "test", "arguments", "said"),
    (
        (PerPair, "test_loss", {"n": 3, "grouped": False}, "must be a scalar"),
        (OneSided, "test_loss", {"n": 3, "grouped": False}, "no gradient for the target"),
        (OnlyStrangers, "test_degenerate_batches", {"case": "one group"}, "the loss is -inf"),
        (Lengths, "test_degenerate_batches", {"case": "equal sides"}, "not finite"),
        (First, "test_order_of_pairs", {"grouped": False}, "not close"),
        (Noisy, "test_draws", {}, "another seed, and draws is False"),
        (InfoNce, "test_groups", {}, "uses_groups is True"),
        (ByNumber, "test_groups", {}, "the groups' numbers change the loss"),
        (Away, "test_prefers_pairs", {"noise": 0.02, "grouped": False}, "loss of true pairs"),
        (Away, "test_fit", {}, "own target nearest"),
    ),
)
def test_the_kit_catches(broken: type[PairObjective], test: str, arguments: dict[str, Any], said: str) -> None:
    spec = ObjectiveSpec(name="broken", target=f"{__name__}:{broken.__name__}", summary="broken", pairs=True)
    object.__setattr__(spec, "load", lambda: broken)
    with pytest.raises(AssertionError) as caught:
        getattr(Suite(), test)(spec, **arguments)
    assert said in str(caught.value)


def test_the_kit_catches_a_hidden_scale(tmp_path: Path) -> None:
    spec = ObjectiveSpec(name="broken", target="x:Hidden", summary="broken", pairs=True)
    object.__setattr__(spec, "load", lambda: Hidden)
    with pytest.raises(AssertionError):
        Suite().test_state(spec, tmp_path)
