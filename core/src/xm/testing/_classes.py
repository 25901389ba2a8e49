"""Conformance of strategies where classes are unseen, or new."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from xm.foundation.errors import UsageError
from xm.learning.context import Context
from xm.learning.model import Towers, own_tensors
from xm.learning.seen import among_seen
from xm.learning.stream import Stream
from xm.plugins.specs import StrategySpec
from xm.testing import _checks as checks, synthetic as synthetic
from xm.testing._suite import AUX, StrategySuite, labels_of, logits_of

SEEN = (0, 2, 3)
"""Labels of the classes of which there are samples of the target, where others are unseen."""


def partly_seen(context: Context) -> Context:
    """The context without samples of the target of all but the `SEEN` classes."""
    seen = torch.tensor(SEEN)

    def only(stream: Stream) -> Stream:
        return stream[torch.isin(stream.labels, seen).nonzero()[:, 0]]

    train = {name: only(stream) if name == context.target else stream for name, stream in context.train.items()}
    return replace(context, train=train, val=None if context.val is None else only(context.val), seen=seen)


def of_first(context: Context, classes: int) -> Context:
    """The task of the first classes alone."""
    return among_seen(replace(context, seen=torch.arange(classes)))


def of_names(context: Context, towers: Towers) -> Context:
    """The context without a sample: what `xm.Strategy.reclass` is told of all classes, with a fitted model's towers."""
    return replace(context, train={}, val=None, unlabelled={}, named=frozenset(), towers=towers)


class ClassesSuite(StrategySuite):
    """The part of `xm.testing.StrategyConformance` on unseen and new classes."""

    @pytest.mark.parametrize("aux", AUX, ids=len)
    def test_unseen_classes(self, spec: StrategySpec, aux: tuple[str, ...]) -> None:
        """Where two classes have no sample of the target, logits of all are finite, and half of the others' are right.

        Or the strategy refuses in a line, with a `UsageError`.
        """
        context = partly_seen(self.context(spec, aux))
        try:
            model = self.adapted(spec, context)
        except UsageError as error:
            pytest.skip(f"{spec.name} needs samples of every class: {checks.one_line(error)}")
        held_out, seen = self.held_out(spec, aux), torch.tensor(SEEN)
        logits = logits_of(model, held_out)
        wanted = (len(held_out), len(synthetic.CLASSES))
        assert logits.shape == wanted, (
            f"logits have shape {tuple(logits.shape)}, not {wanted}: unseen classes have some"
        )
        assert bool(logits.isfinite().all()), "with unseen classes logits are not finite"
        rows = torch.isin(labels_of(held_out), seen)
        decided = seen[logits[rows][:, seen].argmax(dim=1)]
        accuracy = float(torch.eq(decided, labels_of(held_out)[rows]).float().mean())
        assert accuracy >= 0.5, f"of the seen classes' samples {accuracy:.2f} are right among these classes"

    def test_new_classes(self, spec: StrategySpec, tmp_path: Path) -> None:
        """If the spec says `reclasses`, a restored model takes in a class by its name, unless settings forbid it.

        What it says of old classes stays, and it knows the new one's samples more often than by chance. A strategy that
        can't refuses in a line, with a `UsageError`.
        """
        whole, old = self.context(spec), len(synthetic.CLASSES) - 1
        model = self.adapted(spec, of_first(self.context(spec), old))
        tensors = checks.through_file(own_tensors(model), tmp_path)
        towers = synthetic.towers(self.depths(spec, AUX[1]))
        model, held_out = self.make(spec).restore(towers, tensors).eval(), self.held_out(spec)
        given = of_names(whole, towers)
        before = logits_of(model, held_out)
        try:
            model = self.make(spec).reclass(model, given).eval()
        except UsageError as error:
            said = checks.one_line(error)
            if spec.reclasses:
                pytest.skip(f"{spec.name} takes in no class here: {said}")
            return
        assert spec.reclasses, f"{spec.name} takes in new classes: its spec is to say reclasses=True"
        after = logits_of(model, held_out)
        assert after.shape == (len(held_out), old + 1), (
            f"logits of {old} classes and a new one have shape {tuple(after.shape)}"
        )
        assert bool(after.isfinite().all()), "logits of the new class are not finite"
        said = "what is said of old classes is not what it was"
        torch.testing.assert_close(after[:, :old], before, atol=1e-4, rtol=1e-4, msg=lambda why: f"{said}: {why}")
        mine = labels_of(held_out) == old
        known = float((after[mine].argmax(dim=1) == old).float().mean())
        assert known > 1 / (old + 1), f"{known:.2f} of the new class's samples are right"
