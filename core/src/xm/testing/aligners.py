"""Conformance of aligners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm.aligner import AlignContext, Aligner
from xm.encoder import Inputs
from xm.specs import AlignerSpec
from xm.testing import _checks as checks
from xm.testing import _synthetic as synthetic


class AlignerConformance:
    """Subclass, and give a fixture ``spec``; in ``settings`` what makes the aligner quick.

    The default ``context`` is synthetic: 160 things that three encoders see linearly, 120 of them in pairs and
    classifiers, a way from the names and one from another modality. If you override it, override ``held_out`` too.
    """

    settings: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def spec(self) -> AlignerSpec:
        raise NotImplementedError("give a fixture `spec` that returns the AlignerSpec")

    @pytest.fixture(params=("heard", "named"))
    def context(self, request: pytest.FixtureRequest) -> AlignContext:
        return synthetic.align_context(request.param)

    @pytest.fixture
    def held_out(self, context: AlignContext) -> tuple[Inputs, Tensor]:
        """Trunk outputs of the source, and the unit vectors (n, dim) in the target's space that belong to them."""
        if not isinstance(context.source, synthetic.ThingEncoder):
            pytest.skip("no `held_out` fixture: the map's quality is not looked at")
        things = range(synthetic.KNOWN, synthetic.THINGS)
        return context.source.trunk(things), context.target.encode(things)

    def make(self, spec: AlignerSpec) -> Aligner:
        """A new aligner with the suite's settings."""
        made: Aligner = spec.load()(self.settings)
        return made

    def test_registered_lazily(self, spec: AlignerSpec) -> None:
        checks.registers_lazily("aligners", spec.name)

    def test_settings(self, spec: AlignerSpec) -> None:
        assert isinstance(self.make(spec), Aligner)
        checks.explains_settings(spec.load())

    @pytest.mark.parametrize("source", ("heard", "named"))
    def test_says_what_is_missing(self, spec: AlignerSpec, source: str) -> None:
        """With neither pairs, names nor classifiers there is nothing to learn a map from."""
        reason = self.make(spec).why_not(synthetic.align_context(source, complete=False))
        assert isinstance(reason, str), "a map was promised where there is nothing to make it of"
        assert reason and "\n" not in reason

    def test_says_whether_it_uses_pairs(self, spec: AlignerSpec, context: AlignContext) -> None:
        """`uses_pairs` decides what results say, so it must be true: without pairs no map, or the same map."""
        without, aligner = replace(context, pairs=None), self.make(spec)
        if aligner.uses_pairs:
            assert isinstance(aligner.why_not(without), str), "it uses pairs, but does not miss them"
            return
        assert aligner.why_not(without) is None, "it misses pairs, but says that it does not use them"
        one, other = (dict(aligner.fit(c).state_dict()) for c in (context, without))
        assert checks.equal_tensors(one, other), "pairs change the map, but it says that it does not use them"

    def test_map(self, spec: AlignerSpec, context: AlignContext, held_out: tuple[Inputs, Tensor]) -> None:
        """A frozen module: trunk outputs in, finite vectors of the target's space out, each item on its own."""
        aligner, (x, _) = self.make(spec), held_out
        assert aligner.why_not(context) is None
        map = aligner.fit(context)
        assert not any(p.requires_grad for p in map.parameters()), "the map is not frozen"
        out = _apply(map, x)
        assert out.shape == (_size(x), context.target.dim)
        assert out.dtype == torch.float32
        assert bool(out.isfinite().all()), "the map's vectors are not finite"
        for i in range(0, len(out), 10):
            single = _apply(map, {name: value[i : i + 1] for name, value in x.items()})
            torch.testing.assert_close(single, out[i : i + 1], atol=1e-5, rtol=1e-4)

    def test_brings_things_home(
        self, spec: AlignerSpec, context: AlignContext, held_out: tuple[Inputs, Tensor]
    ) -> None:
        """Things that it never saw land near their own vectors rather than near others'."""
        x, wanted = held_out
        cosines = normalize(_apply(self.make(spec).fit(context), x), dim=1) @ wanted.T
        own = float(cosines.diagonal().mean())
        others = float((cosines.sum() - cosines.trace()) / (cosines.numel() - len(cosines)))
        assert own > others + 0.3, f"mean cosine to one's own vector {own:.2f}, to others' {others:.2f}"
        first = float((cosines.argmax(dim=1) == torch.arange(len(cosines))).float().mean())
        assert first > 5 / len(cosines), (
            f"{first:.2f} are nearest to their own vector, {1 / len(cosines):.2f} by chance"
        )

    def test_deterministic(self, spec: AlignerSpec, context: AlignContext) -> None:
        """The process's random state does not matter."""
        found = []
        for state in (1, 2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(state)
                found.append(dict(self.make(spec).fit(context).state_dict()))
        assert checks.equal_tensors(*found), "the same context gave two maps"

    def test_leaves_the_process_alone(self, spec: AlignerSpec, context: AlignContext) -> None:
        with checks.leaves_the_process_alone():
            self.make(spec).fit(context)

    def test_works_offline(self, spec: AlignerSpec, context: AlignContext, monkeypatch: Any) -> None:
        checks.refuse_connections(monkeypatch)
        self.make(spec).fit(context)

    def test_restore(
        self, spec: AlignerSpec, context: AlignContext, held_out: tuple[Inputs, Tensor], tmp_path: Path
    ) -> None:
        """The map's tensors, through a file, give the same map."""
        map, (x, _) = self.make(spec).fit(context), held_out
        restored = self.make(spec).restore(checks.through_file(dict(map.state_dict()), tmp_path))
        torch.testing.assert_close(_apply(restored, x), _apply(map, x), atol=1e-6, rtol=1e-6)
        assert checks.equal_tensors(dict(restored.state_dict()), dict(map.state_dict()))


def _apply(map: nn.Module, x: Inputs) -> Tensor:
    with torch.no_grad():
        out: Tensor = map.eval()(x)
    return out


def _size(x: Inputs) -> int:
    return len(next(iter(x.values())))
