"""The aligner `croma`. It moves both sides, so the suite's tests of `fit` are written anew for `sides`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import AlignContext, AlignerSpec, UsageError
from xm.checkpoint import Checkpoint
from xm.device import threads
from xm.encoder import Inputs
from xm.events import Event
from xm.files import read_tensors, write_tensors
from xm.plugins import manager
from xm.stream import Stream
from xm.testing import AlignerConformance
from xm_croma.aligner import Croma

CLASSES = 12


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices are small."""
    with threads(1):
        yield


class TestConformance(AlignerConformance):
    settings = {"dim": 8, "iterations": 25, "align_ways": 8, "align_lr": 0.01}  # noqa: RUF012

    @pytest.fixture
    def spec(self) -> AlignerSpec:
        return manager().aligners.find("croma")

    @pytest.fixture(params=("heard", "named"))
    def context(self, request: pytest.FixtureRequest) -> AlignContext:
        """The suite's 120 pairs in 12 classes of 10: things whose vectors are near each other."""
        made: AlignContext = super().context.__wrapped__(self, request)  # type: ignore[attr-defined]
        pairs = made.pairs
        assert pairs is not None
        x = normalize(pairs.target["features"], dim=1)
        centres = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(3))[:CLASSES]]
        group = (x @ centres.T).argmax(dim=1)
        return replace(made, pairs=replace(pairs, group=group), labelled=Stream("seen", pairs.target, group))

    def test_map(self, spec: AlignerSpec, context: AlignContext, held_out: tuple[Inputs, Tensor]) -> None:
        sides = self.make(spec).sides(context)
        assert sides.target is not None
        for map, x in ((sides.source, held_out[0]), (sides.target, context.target.trunk([130, 131]))):
            assert not any(p.requires_grad for p in map.parameters())
            out = map(x)
            assert out.shape == (len(x["features"]), 8)
            assert bool(out.isfinite().all())
            torch.testing.assert_close(map({"features": x["features"][:1]}), out[:1], atol=1e-5, rtol=1e-4)

    def test_brings_things_home(
        self, spec: AlignerSpec, context: AlignContext, held_out: tuple[Inputs, Tensor]
    ) -> None:
        """Things that it never saw land near their partners in the new space."""
        sides = self.make(spec).sides(context)
        assert sides.target is not None
        x, _ = held_out
        things = range(120, 160)
        cosines = normalize(sides.source(x), dim=1) @ normalize(sides.target(context.target.trunk(things)), dim=1).T
        own = float(cosines.diagonal().mean())
        others = float((cosines.sum() - cosines.trace()) / (cosines.numel() - len(cosines)))
        assert own > others + 0.2, f"mean cosine to one's own partner {own:.2f}, to others' {others:.2f}"

    def test_deterministic(self, spec: AlignerSpec, context: AlignContext) -> None:
        found = []
        for state in (1, 2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(state)
                found.append(self.make(spec).sides(context).source.state_dict())
        assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())

    def test_leaves_the_process_alone(self, spec: AlignerSpec, context: AlignContext) -> None:
        before = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled()
        self.make(spec).sides(context)
        assert torch.equal(before[0], torch.get_rng_state())
        assert before[1:] == (torch.get_num_threads(), torch.is_grad_enabled())

    def test_works_offline(self, spec: AlignerSpec, context: AlignContext, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise AssertionError("it connects")

        monkeypatch.setattr("socket.socket.connect", refuse)
        self.make(spec).sides(context)

    def test_restore(
        self, spec: AlignerSpec, context: AlignContext, held_out: tuple[Inputs, Tensor], tmp_path: Path
    ) -> None:
        sides = self.make(spec).sides(context)
        assert sides.target is not None
        for map, x in ((sides.source, held_out[0]), (sides.target, context.target.trunk([130, 131]))):
            write_tensors(tmp_path / "map.safetensors", map.state_dict())
            restored = self.make(spec).restore(read_tensors(tmp_path / "map.safetensors"))
            assert torch.equal(restored(x), map(x))

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
    from xm.testing._synthetic import align_context

    made = align_context("heard")
    assert made.pairs is not None
    labels = torch.arange(120) % 6
    context = replace(made, labelled=Stream("seen", made.pairs.target, labels))
    aligner = Croma({"iterations": 1, "objective_set": {"temperature": 0.5, "learn_temperature": False}})
    assert aligner.meta(context).objective.config.temperature == 0.5
    with pytest.raises(UsageError, match="unknown objective"):
        Croma({"objective": "infonse"}).meta(context)
