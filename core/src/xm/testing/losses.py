"""Conformance of objectives of classifiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from xm.learning.loop import fit
from xm.learning.objectives import Objective, StepObjective
from xm.learning.schedule import Plan
from xm.learning.stream import Stream
from xm.plugins.specs import ObjectiveSpec
from xm.testing import _checks as checks

STEPS = 100
"""Of the fit in which an objective that knows the step is tried: at its start, in the middle, at its end."""


class ObjectiveConformance:
    """Subclass, and give a fixture ``spec``; in ``settings`` what a `StepObjective` is to be tried with.

    Logits are drawn, of deviation 3. An objective that knows the step is tried at the first step, in the middle, at the
    last, and outside of a fit.
    """

    settings: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def spec(self) -> ObjectiveSpec:
        raise NotImplementedError("give a fixture `spec` that returns the ObjectiveSpec")

    def make(self, spec: ObjectiveSpec) -> Objective:
        """The function, or a new objective with the suite's settings."""
        found: Any = spec.load()
        made: Objective = found(self.settings) if _knows_the_step(found) else found
        return made

    def stages(self, spec: ObjectiveSpec) -> Iterator[Objective]:
        """The objective as it is at several steps; a function is the same at each."""
        if not _knows_the_step(spec.load()):
            yield self.make(spec)
            return
        for step, steps in ((0, STEPS), (STEPS // 2, STEPS), (STEPS - 1, STEPS), (0, 0)):
            made = self.make(spec)
            assert isinstance(made, StepObjective)
            made.step, made.steps = step, steps
            yield made

    def test_registered_lazily(self, spec: ObjectiveSpec) -> None:
        checks.registers_lazily("objectives", spec.name)

    def test_settings(self, spec: ObjectiveSpec) -> None:
        assert not spec.pairs, "the spec says pairs=True"
        found = spec.load()
        if _knows_the_step(found):
            checks.explains_settings(found)
        else:
            assert not isinstance(found, type), f"{found.__name__} is a class, but no xm.StepObjective"

    @pytest.mark.parametrize("classes", (2, 7))
    @pytest.mark.parametrize("n", (1, 2, 32))
    def test_loss(self, spec: ObjectiveSpec, n: int, classes: int) -> None:
        """A finite scalar, and a finite gradient that is not zero."""
        for objective in self.stages(spec):
            gradient = _gradient(objective, *_drawn(n, classes))
            assert float(gradient.abs().max()) > 0, "no gradient flows"

    @pytest.mark.parametrize("size", (1e2, 1e4))
    @pytest.mark.parametrize("right", (True, False))
    def test_large_logits(self, spec: ObjectiveSpec, right: bool, size: float) -> None:
        """Loss and gradient stay finite where the model is sure, and right or wrong."""
        _, labels = _drawn(8, 5)
        hot = nn.functional.one_hot(labels, 5) - 0.5
        for objective in self.stages(spec):
            _gradient(objective, size * (hot if right else -hot), labels)

    def test_no_weights_are_ones(self, spec: ObjectiveSpec) -> None:
        for objective in self.stages(spec):
            logits, labels = _drawn(9, 5)
            _close(objective(logits, labels, torch.ones(9)), objective(logits, labels, None), "weights of one")

    def test_weights(self, spec: ObjectiveSpec) -> None:
        """A weighted mean: their scale does not matter, a sample of weight 0 is none, one of weight 2 is two."""
        logits, labels = _drawn(9, 5)
        weights = torch.tensor([0.0, 0.5, 1, 2, 0.25, 1, 0, 3, 1])
        whole, twice = weights > 0, torch.tensor([0, 1, 2, 2])
        for objective in self.stages(spec):
            found = objective(logits, labels, weights)
            _close(objective(logits, labels, 2 * weights), found, "twice the weights")
            _close(objective(logits[whole], labels[whole], weights[whole]), found, "samples of weight 0")
            doubled = objective(logits[:3], labels[:3], torch.tensor([1.0, 1, 2]))
            _close(objective(logits[twice], labels[twice], None), doubled, "a sample of weight 2")

    def test_order_of_rows(self, spec: ObjectiveSpec) -> None:
        logits, labels = _drawn(9, 5)
        weights, rows = torch.rand(9, generator=_generator(3)), torch.randperm(9, generator=_generator(4))
        for objective in self.stages(spec):
            found = objective(logits[rows], labels[rows], weights[rows])
            _close(found, objective(logits, labels, weights), "rows in another order")

    def test_prefers_the_label(self, spec: ObjectiveSpec) -> None:
        """Logits that are highest at the label cost less than those that are highest at another class."""
        labels = torch.arange(5)
        logits = 4 * torch.eye(5)
        for objective in self.stages(spec):
            right, wrong = float(objective(logits, labels, None)), float(objective(logits, labels.roll(1), None))
            assert right < wrong, f"the loss of right decisions is {right:.4f}, of wrong ones {wrong:.4f}"

    def test_leaves_all_alone(self, spec: ObjectiveSpec) -> None:
        """It changes neither what it is given nor the process, and gives the same again."""
        logits, labels = _drawn(9, 5)
        weights = torch.rand(9, generator=_generator(3))
        before = {"logits": logits.clone(), "labels": labels.clone(), "weights": weights.clone()}
        for objective in self.stages(spec):
            with checks.leaves_the_process_alone():
                first = objective(logits, labels, weights)
            assert checks.equal_tensors({"logits": logits, "labels": labels, "weights": weights}, before), (
                "logits, labels or weights were changed"
            )
            assert torch.equal(objective(logits, labels, weights), first), "the second loss is another one"

    def test_fit(self, spec: ObjectiveSpec) -> None:
        """`xm.fit` makes a linear classifier that knows most of what it was shown; the objective is then as before."""
        objective, model = self.make(spec), nn.Linear(8, 5)
        labels = torch.arange(5).repeat(8)
        directions, noise = torch.randn(5, 8, generator=_generator(5)), torch.randn(40, 8, generator=_generator(6))
        x = directions[labels] + 0.3 * noise
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)
        plan = Plan({"all": 1.0}, steps=STEPS, batch_size=20, lr=0.1, weight_decay=0.0, warmup=0)
        fit(
            model,
            lambda one, batch: {"loss": objective(one(batch["all"].x["x"]), batch["all"].labels, None)},
            {"all": Stream("any", {"x": x}, labels)},
            plan,
            objective=objective,
        )
        known = float((model(x).argmax(dim=1) == labels).float().mean())
        assert known >= 0.8, f"of what it was shown the classifier knows {known:.0%}"
        if isinstance(objective, StepObjective):
            assert (objective.step, objective.steps) == (0, 0), "the step is set outside of a fit"


def _knows_the_step(target: Any) -> bool:
    return isinstance(target, type) and issubclass(target, StepObjective)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _drawn(n: int, classes: int) -> tuple[Tensor, Tensor]:
    """Logits (n, classes) and labels (n,)."""
    logits = 3 * torch.randn(n, classes, generator=_generator(1))
    return logits, torch.randint(classes, (n,), generator=_generator(2))


def _close(found: Tensor, expected: Tensor, what: str) -> None:
    message = f"{what}: the loss is {float(found):.6f} instead of {float(expected):.6f}"
    assert torch.allclose(found, expected, atol=1e-5, rtol=1e-5), message


def _gradient(objective: Objective, logits: Tensor, labels: Tensor) -> Tensor:
    """Of the logits, finite; so is the loss, a scalar."""
    logits = logits.clone().requires_grad_()
    loss = objective(logits, labels, None)
    assert loss.shape == (), f"the loss has shape {tuple(loss.shape)}, it must be a scalar"
    assert bool(loss.isfinite()), f"the loss is {loss.item()}"
    assert loss.requires_grad, "the loss has no graph"
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None, "no gradient for the logits"
    assert bool(logits.grad.isfinite().all()), "the gradient is not finite"
    return logits.grad
