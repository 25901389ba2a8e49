"""Conformance of predictors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from xm.foundation.errors import XMError
from xm.learning.model import LinearClassifier, class_means
from xm.learning.predictor import NONE, Predictor, decide, decisions
from xm.learning.stream import Prototypes, Stream
from xm.plugins.specs import PredictorSpec
from xm.testing import _checks as checks, synthetic as synthetic


class PredictorConformance:
    """Subclass, and give a fixture ``spec``; in ``settings`` what the predictor is to be tried with.

    The model is a nearest-centroid classifier of five classes in 16 dimensions, whose tower and weights could be
    trained, unless `model` makes another that the rule is for; an encoder reads the class names.
    """

    settings: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def spec(self) -> PredictorSpec:
        raise NotImplementedError("give a fixture `spec` that returns the PredictorSpec")

    def make(self, spec: PredictorSpec) -> Predictor:
        """A new predictor with the suite's settings, without `tensors`."""
        made: Predictor = spec.load()(self.settings)
        return made

    def model(self) -> nn.Module:
        """A new model that the rule decides for, in evaluation mode: class means of the target."""
        towers = synthetic.towers({synthetic.TARGET: 1})
        means = class_means(towers.embed(synthetic.trunk_outputs(synthetic.TARGET, 8, draw=1)), len(synthetic.CLASSES))
        return LinearClassifier(towers, means, 10.0).eval()

    def decided(self, predictor: Predictor, inputs: Stream) -> Tensor:
        """What the rule says of inputs, by a new model."""
        return decide(predictor, self.model(), inputs, torch.device("cpu"))

    def prepared(self, spec: PredictorSpec) -> Predictor:
        """A new predictor with what it needs to know of the classes."""
        predictor = self.make(spec)
        predictor.read_prototypes = _prototypes
        predictor.tensors = predictor.prepare(synthetic.CLASSES, _names)
        return predictor

    def test_registered_lazily(self, spec: PredictorSpec) -> None:
        checks.registers_lazily("predictors", spec.name)

    def test_settings(self, spec: PredictorSpec) -> None:
        predictor = self.make(spec)
        assert isinstance(predictor, Predictor)
        assert predictor.scope in ("item", "set", "sequence")
        checks.explains_settings(spec.load())

    def test_readings(self, spec: PredictorSpec) -> None:
        """What else is to be read of the items is said by name, the same each time."""
        checks.sound_readings(lambda: self.make(spec).readings(synthetic.TARGET))

    @pytest.mark.parametrize("n", (1, 200))
    def test_probabilities(self, spec: PredictorSpec, n: int) -> None:
        """Plain numbers (n, classes), finite, none negative, each row's sum 1, or at most 1 if the rule abstains."""
        predictor = self.prepared(spec)
        out = self.decided(predictor, _inputs(predictor)[torch.arange(n)])
        wanted = (n, len(synthetic.CLASSES))
        assert out.shape == wanted, f"probabilities have shape {tuple(out.shape)}, not {wanted}"
        assert out.is_floating_point(), f"probabilities are {out.dtype}"
        assert not out.requires_grad, "the probabilities still hold the graph of their computation"
        assert bool(out.isfinite().all()), "probabilities are not finite"
        assert float(out.min()) >= 0, "a probability is negative"
        sums = out.sum(dim=1)
        if self.make(spec).abstains:
            assert float(sums.max()) <= 1 + 1e-5, f"probabilities sum to {float(sums.max()):.4f}"
        else:
            torch.testing.assert_close(sums, torch.ones_like(sums), msg=lambda said: f"sums: {said}")

    def test_beats_chance(self, spec: PredictorSpec) -> None:
        """Where the model is right, most decisions are: half of five classes at least, of those that are decided on."""
        predictor, labels = self.prepared(spec), synthetic.held_out().labels
        found = decisions(predictor, self.decided(predictor, _inputs(predictor)))
        decided = found != NONE
        assert bool(decided.any()), "the rule abstains from everything"
        accuracy = float(torch.eq(found, labels)[decided].float().mean())
        assert accuracy >= 0.5, f"accuracy {accuracy:.2f} on held-out samples"

    def test_items_are_judged_alone(self, spec: PredictorSpec) -> None:
        """With `scope` "item", a row depends neither on the other items nor on what was predicted before."""
        predictor = self.prepared(spec)
        inputs = _inputs(predictor)
        if predictor.scope != "item":
            pytest.skip(f"{spec.name} sees all items together (scope {predictor.scope})")
        rows = torch.arange(0, len(inputs), 20)
        whole = self.decided(predictor, inputs)
        single = torch.cat([self.decided(predictor, inputs[row[None]]) for row in rows])
        torch.testing.assert_close(single, whole[rows], atol=1e-5, rtol=1e-4)

    def test_never_sees_labels(self, spec: PredictorSpec) -> None:
        """With labels, with wrong ones and without, the probabilities are the same."""
        inputs = _inputs(self.make(spec))
        wrong = torch.zeros(len(inputs), dtype=torch.long)
        without, *labelled = (
            self.decided(self.prepared(spec), replace(inputs, y=y)) for y in (None, synthetic.held_out().y, wrong)
        )
        assert all(torch.equal(without, other) for other in labelled), "labels change the probabilities"

    def test_deterministic(self, spec: PredictorSpec) -> None:
        """Neither the process's random state nor an earlier call matters."""
        found = []
        for state in (1, 2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(state)
                predictor = self.prepared(spec)
                found += [self.decided(predictor, _inputs(predictor)) for _ in range(2)]
        assert all(torch.equal(found[0], other) for other in found[1:]), "the same inputs, other probabilities"

    def test_leaves_the_process_alone(self, spec: PredictorSpec) -> None:
        model, inputs = self.model(), _inputs(self.make(spec))
        with checks.leaves_the_process_alone():
            decide(self.prepared(spec), model, inputs, torch.device("cpu"))

    def test_leaves_the_model_alone(self, spec: PredictorSpec) -> None:
        """Weights, gradients, mode and inputs are afterwards as they were before."""
        model, untouched, inputs = self.model(), self.model(), _inputs(self.make(spec))
        decide(self.prepared(spec), model, inputs, torch.device("cpu"))
        assert checks.equal_tensors(model.state_dict(), untouched.state_dict()), "the model's weights were changed"
        assert not any(module.training for module in model.modules()), "the model was left in training mode"
        trainable = [[p.requires_grad for p in one.parameters()] for one in (model, untouched)]
        assert trainable[0] == trainable[1], "what can be trained was changed"
        assert all(p.grad is None for p in model.parameters()), "gradients were left in the model"
        fresh = _inputs(self.make(spec))
        assert checks.equal_tensors(dict(inputs.x), dict(fresh.x)), "the inputs were changed"
        same = (checks.equal_tensors(dict(inputs.also[name]), dict(fresh.also[name])) for name in fresh.also)
        assert inputs.also.keys() == fresh.also.keys() and all(same), "the inputs' readings were changed"

    def test_restore(self, spec: PredictorSpec, tmp_path: Path) -> None:
        """The tensors that `prepare` returned, through a file, are all that a new predictor needs."""
        predictor = self.make(spec)
        predictor.read_prototypes = _prototypes
        found = predictor.prepare(synthetic.CLASSES, _names)
        predictor.tensors = found
        restored = self.make(spec)
        restored.tensors = checks.through_file(dict(found), tmp_path) if found else {}
        inputs = _inputs(predictor)
        assert torch.equal(self.decided(restored, inputs), self.decided(predictor, inputs))
        assert checks.equal_tensors(dict(restored.tensors), dict(found)), "predicting changes the tensors"

    def test_without_names(self, spec: PredictorSpec) -> None:
        """Where no encoder reads class names it works, or says so in one line."""
        predictor = self.make(spec)
        try:
            predictor.tensors = predictor.prepare(synthetic.CLASSES, lambda: None)
        except XMError as error:
            checks.one_line(error)
        else:
            self.decided(predictor, _inputs(predictor))

    def test_works_offline(self, spec: PredictorSpec, monkeypatch: Any) -> None:
        checks.refuse_connections(monkeypatch)
        predictor = self.prepared(spec)
        self.decided(predictor, _inputs(predictor))


def _names() -> Stream:
    """Two texts a class, in the home space."""
    return synthetic.towers().embed(synthetic.trunk_outputs(synthetic.NAMES, 2, draw=3))


def _prototypes() -> Mapping[str, Prototypes]:
    return synthetic.context(()).prototypes


def _inputs(predictor: Predictor) -> Stream:
    """Trunk outputs of 200 samples, unlabelled, with the readings that the predictor wants."""
    return synthetic.also(replace(synthetic.held_out(), y=None), predictor.readings(synthetic.TARGET))
