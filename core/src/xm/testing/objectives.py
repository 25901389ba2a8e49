"""Conformance of objectives of alignments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm.foundation.device import seeded
from xm.learning.loop import Plan, fit
from xm.learning.objectives import PairBatch, PairObjective
from xm.learning.stream import Batch, Stream
from xm.plugins.specs import ObjectiveSpec
from xm.testing import _checks as checks

DIM = 16
FROZEN_DIM = 24
CPU = torch.device("cpu")


class PairObjectiveConformance:
    """Subclass, and give a fixture ``spec``; in ``settings`` what the objective is to be tried with.

    The pairs are synthetic: things that both sides see with noise, so that pairs have a cosine near 0.8. Rolled by one
    row they are wrongly paired. Where groups are tried, two pairs each share one.

    Attributes:
        settings: of the objective.
        draws: it draws, by PyTorch's own generator; then the order of pairs may matter.
        uses_groups: pairs of equal group are not treated as strangers.
    """

    settings: ClassVar[Mapping[str, Any]] = {}
    draws: ClassVar[bool] = False
    uses_groups: ClassVar[bool] = True

    @pytest.fixture
    def spec(self) -> ObjectiveSpec:
        raise NotImplementedError("give a fixture `spec` that returns the ObjectiveSpec")

    def make(self, spec: ObjectiveSpec) -> PairObjective:
        """A new objective with the suite's settings."""
        made: PairObjective = spec.load()(self.settings)
        return made

    def test_registered_lazily(self, spec: ObjectiveSpec) -> None:
        checks.registers_lazily("objectives", spec.name)

    def test_settings(self, spec: ObjectiveSpec) -> None:
        assert spec.pairs, "the spec does not say pairs=True"
        assert isinstance(self.make(spec), PairObjective)
        checks.explains_settings(spec.load())

    @pytest.mark.parametrize("grouped", (False, True))
    @pytest.mark.parametrize("n", (2, 3, 32))
    def test_loss(self, spec: ObjectiveSpec, n: int, grouped: bool) -> None:
        """A finite scalar, and on wrong pairs a finite gradient for both sides that is not zero; from 2 pairs on."""
        batch = _rolled(_pairs(n, grouped))
        gradients = _gradients(self.make(spec), batch)
        if not grouped or n > 2:
            assert all(float(g.abs().max()) > 0 for g in gradients), "wrong pairs leave a side without gradient"

    def test_parameters_train(self, spec: ObjectiveSpec) -> None:
        """What can be trained has a finite gradient."""
        objective = self.make(spec)
        if not any(parameter.requires_grad for parameter in objective.parameters()):
            pytest.skip(f"nothing of {spec.name} is trained")
        _loss(objective, _pairs(8)).backward()  # type: ignore[no-untyped-call]
        for name, parameter in objective.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, f"{name} has no gradient"
                assert bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite"
                assert float(parameter.grad.abs().max()) > 0, f"the gradient of {name} is zero"

    @pytest.mark.parametrize("case", ("one group", "equal sides", "opposite sides", "all equal"))
    def test_degenerate_batches(self, spec: ObjectiveSpec, case: str) -> None:
        """Loss and gradients stay finite where nothing is negative, and where vectors coincide."""
        batch = _pairs(8)
        one = batch.source[:1].expand(8, -1)
        _gradients(
            self.make(spec),
            {
                "one group": replace(batch, group=torch.zeros(8, dtype=torch.long)),
                "equal sides": replace(batch, source=batch.target),
                "opposite sides": replace(batch, source=-batch.target),
                "all equal": replace(batch, source=one, target=one),
            }[case],
        )

    @pytest.mark.parametrize("grouped", (False, True))
    def test_order_of_pairs(self, spec: ObjectiveSpec, grouped: bool) -> None:
        """Pairs in another order have the same loss, unless it draws."""
        if self.draws:
            pytest.skip(f"{spec.name} draws by row")
        batch, objective = _pairs(9, grouped), self.make(spec)
        other = _rows(batch, torch.randperm(9, generator=torch.Generator().manual_seed(1)))
        torch.testing.assert_close(_loss(objective, other), _loss(objective, batch), atol=1e-5, rtol=1e-5)

    def test_draws(self, spec: ObjectiveSpec) -> None:
        """PyTorch's seed decides everything, and nothing if it does not draw; nothing else changes in the process."""
        objective, batch = self.make(spec), _pairs(9)
        found = [_value(objective, batch, seed) for seed in (1, 1, 2)]
        assert found[0] == found[1], "the same seed, another loss"
        assert (found[0] != found[2]) == self.draws, f"another seed, and draws is {self.draws}"
        if not self.draws:
            with checks.leaves_the_process_alone():
                objective(batch)

    def test_groups(self, spec: ObjectiveSpec) -> None:
        """A group of its own for each pair changes nothing; shared groups do if it uses them; their numbers never."""
        objective, batch, shared = self.make(spec), _rolled(_pairs(8)), torch.arange(8) // 2
        alone, apart, found, renumbered = (
            _value(objective, replace(batch, group=group)) for group in (None, torch.arange(8), shared, 7 * shared - 3)
        )
        assert apart == pytest.approx(alone, abs=1e-5), "groups of one change the loss"
        assert (abs(found - alone) > 1e-6) == self.uses_groups, f"uses_groups is {self.uses_groups}"
        assert renumbered == pytest.approx(found, abs=1e-5), "the groups' numbers change the loss"

    @pytest.mark.parametrize("grouped", (False, True))
    @pytest.mark.parametrize("noise", (0.02, 0.8))
    def test_prefers_pairs(self, spec: ObjectiveSpec, noise: float, grouped: bool) -> None:
        """True pairs, close or noisy, have a lower loss than wrong ones."""
        objective, batch = self.make(spec), _pairs(16, grouped, noise)
        true, wrong = _value(objective, batch), _value(objective, _rolled(batch, by=2))
        assert true < wrong, f"loss of true pairs {true:.4f}, of wrong ones {wrong:.4f}"

    def test_fit(self, spec: ObjectiveSpec) -> None:
        """`xm.fit` on free vectors lowers the loss, and most sources then lie nearest to their own target."""
        model = _Free(self.make(spec))
        before = _value(model.objective, model.pairs())
        rows = {"pairs": Stream("any", {"row": torch.arange(len(model.source))})}
        plan = Plan({"pairs": 1.0}, steps=150, batch_size=len(model.source), lr=0.05, weight_decay=0.0, warmup=5)
        fit(model, lambda one, batch: {"loss": one(batch)}, rows, plan)
        after = _value(model.objective, model.pairs())
        assert after < before, f"the loss was {before:.4f} and is {after:.4f}"
        batch = model.pairs()
        first = (batch.source @ batch.target.T).argmax(dim=1) == torch.arange(len(batch))
        assert float(first.float().mean()) >= 0.75, f"own target nearest for {float(first.float().mean()):.0%} only"

    def test_leaves_the_batch_alone(self, spec: ObjectiveSpec) -> None:
        batch, untouched = _pairs(8, grouped=True), _pairs(8, grouped=True)
        _loss(self.make(spec), batch)
        assert checks.equal_tensors(_tensors(batch), _tensors(untouched)), "the batch was changed"

    def test_state(self, spec: ObjectiveSpec, tmp_path: Path) -> None:
        """The parameters, through a file, give a new objective the same loss."""
        one, other = self.make(spec), self.make(spec)
        with torch.no_grad():
            for parameter in one.parameters():
                parameter.sub_(0.25)
        state = dict(one.state_dict())
        other.load_state_dict(checks.through_file(state, tmp_path) if state else {})
        assert torch.equal(_loss(other, _pairs(8)), _loss(one, _pairs(8)))


class _Free(nn.Module):
    """24 vectors a side, free, from chance on, and the objective."""

    def __init__(self, objective: PairObjective) -> None:
        super().__init__()
        drawn = torch.randn(2, 24, DIM, generator=torch.Generator().manual_seed(5))
        self.source, self.target = (nn.Parameter(side) for side in drawn)
        self.register_buffer("frozen", normalize(torch.randn(24, FROZEN_DIM, generator=_generator(6)), dim=1))
        self.objective = objective

    def pairs(self) -> PairBatch:
        """All of them."""
        frozen: Tensor = self.get_buffer("frozen")
        return PairBatch(normalize(self.source, dim=1), normalize(self.target, dim=1), frozen)

    def forward(self, batch: Batch) -> Tensor:
        loss: Tensor = self.objective(_rows(self.pairs(), batch["pairs"].x["row"]))
        return loss


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pairs(n: int, grouped: bool = False, noise: float = 0.5) -> PairBatch:
    """n pairs of things; grouped, the things of rows 2i and 2i+1 are alike, and of one group."""
    things = torch.randn(n, DIM, generator=_generator(1))
    if grouped:
        things[1::2] = 0.8 * things[0 : 2 * (n // 2) : 2] + 0.6 * things[1::2]
    seen, heard = (things + noise * torch.randn(n, DIM, generator=_generator(seed)) for seed in (2, 3))
    frozen = seen @ torch.randn(DIM, FROZEN_DIM, generator=_generator(4))
    source, target, frozen = (normalize(x, dim=1) for x in (heard, seen, frozen))
    return PairBatch(source, target, frozen, torch.arange(n) // 2 if grouped else None)


def _rolled(batch: PairBatch, by: int = 1) -> PairBatch:
    """Each target with another's source."""
    return replace(batch, source=batch.source.roll(by, dims=0))


def _rows(batch: PairBatch, rows: Tensor) -> PairBatch:
    group = None if batch.group is None else batch.group[rows]
    return PairBatch(batch.source[rows], batch.target[rows], batch.frozen[rows], group)


def _tensors(batch: PairBatch) -> dict[str, Tensor]:
    assert batch.group is not None
    return {"source": batch.source, "target": batch.target, "frozen": batch.frozen, "group": batch.group}


def _loss(objective: PairObjective, batch: PairBatch, seed: int = 1) -> Tensor:
    with seeded(seed, CPU):
        loss: Tensor = objective(batch)
    assert loss.shape == (), f"the loss has shape {tuple(loss.shape)}, it must be a scalar"
    assert bool(loss.isfinite()), f"the loss is {loss.item()}"
    return loss


def _value(objective: PairObjective, batch: PairBatch, seed: int = 1) -> float:
    return float(_loss(objective, batch, seed).detach())


def _gradients(objective: PairObjective, batch: PairBatch) -> tuple[Tensor, Tensor]:
    """Of source and target, finite."""
    source, target = (x.clone().requires_grad_() for x in (batch.source, batch.target))
    loss = _loss(objective, replace(batch, source=source, target=target))
    assert loss.requires_grad, "the loss has no graph"
    loss.backward()  # type: ignore[no-untyped-call]
    for name, side in (("source", source), ("target", target)):
        assert side.grad is not None, f"no gradient for the {name}"
        assert bool(side.grad.isfinite().all()), f"the gradient of the {name} is not finite"
    assert source.grad is not None and target.grad is not None
    return source.grad, target.grad
