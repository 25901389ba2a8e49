"""The aligner `croma`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from xm import AlignContext, AlignerSpec, Stream, UsageError
from xm.foundation import Event, threads
from xm.learning import Checkpoint
from xm.plugins import manager
from xm.testing import AlignerConformance
from xm_aligners.croma.aligner import Croma


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices are small."""
    with threads(1):
        yield


class TestConformance(AlignerConformance):
    settings = {"dim": 8, "iterations": 25, "align_ways": 8, "align_lr": 0.01}  # noqa: RUF012
    grouped = True

    @pytest.fixture
    def spec(self) -> AlignerSpec:
        return manager().aligners.find("croma")

    def test_goes_on_after_an_interruption(self, spec: AlignerSpec, context: AlignContext, tmp_path: Path) -> None:
        def interrupt(event: Event) -> None:
            if event.data["step"] == 13:
                raise KeyboardInterrupt

        checkpoint = Checkpoint(tmp_path / "fit.safetensors", every=5)
        whole = self.make(spec).sides(context).source.state_dict()
        with pytest.raises(KeyboardInterrupt):
            self.make(spec).sides(replace(context, checkpoint=checkpoint, listener=interrupt))
        assert checkpoint.path.exists()
        again = self.make(spec).sides(replace(context, checkpoint=checkpoint)).source.state_dict()
        assert all(torch.equal(value, again[name]) for name, value in whole.items())

    def test_says_what_to_do_instead_of_fit(self, spec: AlignerSpec, context: AlignContext) -> None:
        assert self.make(spec).moves_target
        with pytest.raises(UsageError, match="xm align --aligner croma"):
            self.make(spec).fit(context)

    def test_needs_labels_of_two_classes(self, spec: AlignerSpec, context: AlignContext) -> None:
        aligner = self.make(spec)
        assert "labelled seen" in (aligner.why_not(replace(context, labelled=None)) or "")
        assert context.labelled is not None
        one = replace(context.labelled, y=torch.zeros_like(context.labelled.labels))
        assert "one class" in (aligner.why_not(replace(context, labelled=one)) or "")
        with pytest.raises(UsageError, match="labelled"):
            aligner.sides(replace(context, labelled=None))

    def test_works_without_groups(self, spec: AlignerSpec, context: AlignContext) -> None:
        """Strong pairs: alignment tasks are any pairs."""
        assert context.pairs is not None
        sides = self.make(spec).sides(replace(context, pairs=replace(context.pairs, group=None)))
        assert sides.target is not None


def test_settings_of_objectives_are_passed_on() -> None:
    from xm.testing.synthetic import align_context

    made = align_context("heard")
    assert made.pairs is not None
    labels = torch.arange(120) % 6
    context = replace(made, labelled=Stream("seen", made.pairs.target, labels))
    aligner = Croma({"iterations": 1, "objective_set": {"temperature": 0.5, "learn_temperature": False}})
    assert aligner.meta(context).objective.config.temperature == 0.5
    with pytest.raises(UsageError, match="unknown objective"):
        Croma({"objective": "infonse"}).meta(context)
