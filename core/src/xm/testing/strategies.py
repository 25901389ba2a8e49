"""Conformance of strategies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xm.foundation.errors import UsageError
from xm.learning.context import adapt
from xm.learning.model import Towers, own_tensors
from xm.learning.start import Start
from xm.learning.strategy import Strategy
from xm.learning.stream import Stream
from xm.plugins.plugin_manager import manager
from xm.plugins.specs import StrategySpec
from xm.testing import _checks as checks, synthetic as synthetic
from xm.testing._classes import ClassesSuite
from xm.testing._suite import AUX, labels_of, logits_of


class StrategyConformance(ClassesSuite):
    """Subclass, and give a fixture ``spec``; in ``settings`` what makes the strategy quick.

    In ``semantics`` what it asks of the classes, by name: "texts", "matrix" or "triples".

    The task is synthetic: five classes in 16 dimensions, a target modality and two auxiliary ones, of which one is
    the class names.
    """

    def test_registered_lazily(self, spec: StrategySpec) -> None:
        checks.registers_lazily("strategies", spec.name)

    def test_settings(self, spec: StrategySpec) -> None:
        assert isinstance(self.make(spec), Strategy)
        checks.explains_settings(spec.load())

    @pytest.mark.parametrize("aux", AUX, ids=len)
    def test_readings(self, spec: StrategySpec, aux: tuple[str, ...]) -> None:
        """What else is to be read of the target's items is said by name, the same each time."""
        checks.sound_readings(lambda: self.make(spec).readings(synthetic.TARGET, aux))

    @pytest.mark.parametrize("aux", AUX, ids=len)
    @pytest.mark.parametrize("val", (True, False), ids=("val", "no val"))
    @pytest.mark.parametrize("shots", (1, 4))
    def test_beats_chance(self, spec: StrategySpec, aux: tuple[str, ...], val: bool, shots: int) -> None:
        """Finite logits, and at least half right of five classes."""
        if not val and self.make(spec).needs_val:
            pytest.skip(f"{spec.name} needs val")
        model = self.adapted(spec, self.context(spec, aux, val=val, shots=shots))
        held_out = self.held_out(spec, aux)
        logits = logits_of(model, held_out)
        assert logits.shape == (len(held_out), len(synthetic.CLASSES))
        assert bool(logits.isfinite().all()), "logits are not finite"
        accuracy = float(torch.eq(logits.argmax(dim=1), labels_of(held_out)).float().mean())
        assert accuracy >= 0.5, (
            f"accuracy {accuracy:.2f} on held-out samples, at {1 / len(synthetic.CLASSES)} by chance"
        )

    def test_without_labels(self, spec: StrategySpec) -> None:
        """What learns from unlabelled samples does so with an auxiliary modality alone, too: rows of no shots."""
        if not spec.needs_unlabelled:
            pytest.skip(f"{spec.name} needs no unlabelled samples")
        model = self.adapted(spec, self.context(spec, target=False, val=False))
        found = torch.eq(logits_of(model, synthetic.held_out()).argmax(dim=1), labels_of(synthetic.held_out()))
        assert float(found.float().mean()) >= 0.5, "at most half of held-out samples are right without labelled ones"

    def test_unlabelled_samples_in_any_order(self, spec: StrategySpec) -> None:
        """The order of unlabelled samples may not matter: in a user's folder it tells their classes."""
        if not spec.needs_unlabelled:
            pytest.skip(f"{spec.name} needs no unlabelled samples")
        said = [
            logits_of(self.adapted(spec, self.context(spec, order=order)), synthetic.held_out()).argmax(dim=1)
            for order in (0, 1)
        ]
        same = float(torch.eq(*said).float().mean())
        assert same >= 0.9, f"in another order of the unlabelled samples {1 - same:.0%} of the decisions are others"

    def test_names_a_rule(self, spec: StrategySpec) -> None:
        """The decision rule that its models want is registered."""
        if name := self.make(spec).predictor:
            manager().predictors.find(name)

    def test_classes_may_have_unequally_many_texts(self, spec: StrategySpec) -> None:
        """As with descriptions: each class counts, or that it needs equally many is told in one line."""
        context, first = self.context(spec), torch.tensor([0])
        names, named = context.names, context.train[synthetic.NAMES]
        train = {synthetic.NAMES: named[torch.cat([torch.arange(len(named)), first])]}
        texts = names[torch.cat([torch.arange(len(names)), first, first])]
        context = replace(context, train={**context.train, **train}, read_names=lambda: texts)
        try:
            model = self.adapted(spec, context)
        except UsageError as error:
            checks.one_line(error)
            return
        logits = logits_of(model, synthetic.held_out())
        assert logits.shape[1] == len(synthetic.CLASSES) and bool(logits.isfinite().all()), "logits are not finite"

    def test_reads_every_modality(self, spec: StrategySpec) -> None:
        """Trunk outputs of any modality go in; where it is not opened embeddings too, and both give the same."""
        model, depths = self.adapted(spec, self.context(spec, AUX[2])), self.depths(spec, AUX[2])
        for modality in (synthetic.TARGET, *synthetic.AUXILIARY):
            depth = depths.get(modality, 0)
            raw = synthetic.trunk_outputs(modality, 3, draw=5, depth=depth)
            if modality == synthetic.TARGET:
                raw = synthetic.also(raw, self.make(spec).readings(modality, AUX[2]))
            logits = logits_of(model, raw)
            assert bool(logits.isfinite().all())
            if not depth:
                embedded = logits_of(model, synthetic.towers().embed(raw))
                torch.testing.assert_close(logits, embedded, atol=1e-4, rtol=1e-4)

    def test_items_are_judged_alone(self, spec: StrategySpec) -> None:
        model, held_out = self.adapted(spec, self.context(spec)), self.held_out(spec)
        assert not model.training, "the model is not in evaluation mode"
        rows = torch.arange(0, len(held_out), 20)
        single = torch.cat([logits_of(model, held_out[row[None]]) for row in rows])
        torch.testing.assert_close(single, logits_of(model, held_out)[rows], atol=1e-4, rtol=1e-4)

    def test_deterministic_by_seed(self, spec: StrategySpec) -> None:
        """The context's seed decides all; the process's random state does not matter."""
        found = []
        for state in (1, 2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(state)
                found.append(own_tensors(self.adapted(spec, self.context(spec, AUX[2]))))
        assert checks.equal_tensors(*found), "the same seed gave two models"

    def test_leaves_its_input_alone(self, spec: StrategySpec) -> None:
        """Streams, towers and class names are after fitting as they were before."""
        context, untouched = (self.context(spec, AUX[2]) for _ in range(2))
        self.adapted(spec, context)
        assert context.train.keys() == untouched.train.keys()
        for name in context.train:
            assert _same(context.train[name], untouched.train[name]), f"samples of {name} in train were changed"
        for name in context.unlabelled:
            assert _same(context.unlabelled[name], untouched.unlabelled[name]), f"unlabelled {name} were changed"
        assert _same(context.val, untouched.val), "val was changed"
        assert _same(context.texts, untouched.texts), "the class names were changed"
        towers = dict(context.towers.state_dict()), dict(untouched.towers.state_dict())
        assert checks.equal_tensors(*towers), "the context's towers were changed"

    def test_leaves_the_process_alone(self, spec: StrategySpec) -> None:
        strategy, context = self.make(spec), self.context(spec)
        with checks.leaves_the_process_alone():
            adapt(strategy, context)

    def test_groups(self, spec: StrategySpec) -> None:
        """Groups of parameters name what is trained of the model, and each parameter once."""
        strategy, context = self.make(spec), self.context(spec)
        model = strategy.build(context)
        named = {id(parameter): name for name, parameter in model.named_parameters()}
        seen: set[int] = set()
        for parameter in (parameter for group in strategy.groups(model) or () for parameter in group.parameters):
            assert id(parameter) in named, f"a group has a parameter of shape {tuple(parameter.shape)} of no model"
            name = named[id(parameter)]
            assert parameter.requires_grad, f"a group has {name}, which is frozen"
            assert id(parameter) not in seen, f"{name} is in the groups twice"
            seen.add(id(parameter))

    def test_stepped(self, spec: StrategySpec) -> None:
        """After a step nothing is drawn from the process's random state, and what is remembered is in the model."""
        strategy, states = self.make(spec), []
        for _ in range(2):
            model = strategy.build(self.context(spec))
            with torch.no_grad(), checks.leaves_the_process_alone():
                for step in range(3):
                    strategy.stepped(model, step)
            states.append({name: value.clone() for name, value in model.state_dict().items()})
        assert checks.equal_tensors(*states), "the same steps gave two models: the strategy remembers another one"

    def test_works_offline(self, spec: StrategySpec, monkeypatch: Any) -> None:
        checks.refuse_connections(monkeypatch)
        self.adapted(spec, self.context(spec))

    @pytest.mark.parametrize("aux", AUX, ids=len)
    def test_restore(self, spec: StrategySpec, aux: tuple[str, ...], tmp_path: Path) -> None:
        """The model's own tensors, through a file, and new towers give the same logits."""
        model, held_out = self.adapted(spec, self.context(spec, aux)), self.held_out(spec, aux)
        tensors = checks.through_file(own_tensors(model), tmp_path)
        restored = self.make(spec).restore(synthetic.towers(self.depths(spec, aux)), tensors).eval()
        torch.testing.assert_close(logits_of(restored, held_out), logits_of(model, held_out), atol=1e-6, rtol=1e-6)

    def test_goes_on_from_a_run(self, spec: StrategySpec, tmp_path: Path) -> None:
        """Where encoders are opened: `tuned` says what became of them, and a training that begins there is restored."""
        strategy, depths = self.make(spec), self.depths(spec, AUX[2])
        if not any(depths.values()) and not strategy.uses_runs:
            pytest.skip(f"{spec.name} opens no encoder")
        tensors = checks.through_file(own_tensors(self.adapted(spec, self.context(spec, AUX[2]))), tmp_path)
        tails = strategy.tuned(synthetic.towers(depths), tensors)

        def towers() -> Towers:
            try:
                return synthetic.begun(synthetic.towers(depths), tails)
            except (ValueError, RuntimeError) as error:
                raise AssertionError(f"what tuned() returns does not fit a new tower's tail: {error}") from error

        first = self.make(spec).restore(synthetic.towers(depths), tensors).eval()
        for modality, tower in getattr(first, "towers", {}).items():
            x = synthetic.trunk_outputs(modality, 1, draw=5, depth=depths.get(modality, 0)).x
            with torch.no_grad():
                assert torch.allclose(towers()[modality].eval()(x), tower(x), atol=1e-4), (
                    f"the {modality} tower is another than what tuned() makes of a new one"
                )
        run = Start("run", synthetic.CLASSES, lambda: first, strategy=spec.name, depths=depths)
        model = self.adapted(spec, self.context(spec, AUX[2], runs=(run,), tails=tails))
        own = checks.through_file(own_tensors(model), tmp_path)
        again, held_out = self.make(spec).restore(towers(), own).eval(), synthetic.held_out()
        torch.testing.assert_close(logits_of(again, held_out), logits_of(model, held_out), atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("aux", AUX, ids=len)
    def test_record(self, spec: StrategySpec, aux: tuple[str, ...]) -> None:
        """What a run keeps beside the tensors is plain: the initialisation's name, and JSON values."""
        strategy, context = self.make(spec), self.context(spec, aux)
        adapt(strategy, context)
        name = strategy.init_name(context)
        assert isinstance(name, str) and name
        assert json.loads(json.dumps(context.record, allow_nan=False)) == context.record, "not plain JSON values"


def _same(one: Stream | None, other: Stream | None) -> bool:
    if one is None or other is None:
        return one is other
    return checks.equal_tensors(_tensors(one), _tensors(other))


def _tensors(stream: Stream) -> dict[str, Tensor]:
    optional = {name: getattr(stream, name) for name in ("y", "weight", "pair", "group", "origin")}
    optional |= {f"also {name} {key}": value for name, x in stream.also.items() for key, value in x.items()}
    return {**stream.x, **{f"its {name}": value for name, value in optional.items() if value is not None}}
