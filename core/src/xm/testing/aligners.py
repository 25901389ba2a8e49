"""Conformance of aligners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm.alignment.aligner import AlignContext, Aligner, Sides
from xm.foundation.errors import UsageError
from xm.learning.stream import Inputs
from xm.plugins.specs import AlignerSpec
from xm.testing import _checks as checks, synthetic as synthetic


class AlignerConformance:
    """Subclass, and give a fixture ``spec``; in ``settings`` what makes the aligner quick.

    The default ``context`` is synthetic: 160 things that three encoders see linearly, 120 of them in pairs and
    classifiers, a way from the names and one from another modality. With ``grouped`` the pairs are of 12 classes, and
    the target's side of them is labelled. If you override ``context``, override ``held_out`` too.

    An aligner that moves the target too is asked for `sides`, and what its two maps give is compared.
    """

    settings: ClassVar[Mapping[str, Any]] = {}
    grouped: ClassVar[bool] = False

    @pytest.fixture
    def spec(self) -> AlignerSpec:
        raise NotImplementedError("give a fixture `spec` that returns the AlignerSpec")

    @pytest.fixture(params=("heard", "named"))
    def context(self, request: pytest.FixtureRequest) -> AlignContext:
        return synthetic.align_context(request.param, grouped=self.grouped)

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

    def sides(self, spec: AlignerSpec, context: AlignContext) -> Sides:
        """What a new aligner makes: two maps if it moves the target, else the source's alone."""
        aligner = self.make(spec)
        assert aligner.why_not(context) is None
        found = aligner.sides(context)
        if aligner.moves_target:
            assert found.target is not None, "it says that it moves the target, and gives no map of it"
        else:
            assert found.target is None, "it maps the target, and does not say so in `moves_target`"
        return found

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
        one, other = (_tensors(self.sides(spec, c)) for c in (context, without))
        assert checks.equal_tensors(one, other), "pairs change the map, but it says that it does not use them"

    def test_fit(self, spec: AlignerSpec, context: AlignContext, held_out: tuple[Inputs, Tensor]) -> None:
        """`fit` leaves the target where it is. An aligner that only maps both sides refuses, in a line."""
        aligner, (x, _) = self.make(spec), held_out
        try:
            map = aligner.fit(context)
        except UsageError as error:
            assert aligner.moves_target, f"it does not move the target, but `fit` refuses: {error}"
            checks.one_line(error)
            return
        assert _apply(map, x).shape == (_size(x), context.target.dim)
        if not aligner.moves_target:
            same = checks.equal_tensors(dict(map.state_dict()), dict(self.sides(spec, context).source.state_dict()))
            assert same, "`fit` and `sides` give two maps"

    def test_map(self, spec: AlignerSpec, context: AlignContext, held_out: tuple[Inputs, Tensor]) -> None:
        """Frozen modules: trunk outputs in, finite vectors of one space out, each item on its own."""
        sides = self.sides(spec, context)
        dims = set()
        for map, x in _both(sides, held_out):
            assert not any(p.requires_grad for p in map.parameters()), "the map is not frozen"
            out = _apply(map, x)
            assert out.shape[:-1] == (_size(x),)
            assert out.dtype == torch.float32
            assert bool(out.isfinite().all()), "the map's vectors are not finite"
            for i in range(0, len(out), 10):
                single = _apply(map, {name: value[i : i + 1] for name, value in x.items()})
                torch.testing.assert_close(single, out[i : i + 1], atol=1e-5, rtol=1e-4)
            dims.add(out.shape[1])
        if sides.target is None:
            dims.add(context.target.dim)
        assert len(dims) == 1, f"the two sides have {' and '.join(str(dim) for dim in sorted(dims))} dimensions"

    def test_brings_things_home(
        self, spec: AlignerSpec, context: AlignContext, held_out: tuple[Inputs, Tensor]
    ) -> None:
        """Things that it never saw land near their own vectors rather than near others'."""
        sides = self.sides(spec, context)
        vectors = [normalize(_apply(map, x), dim=1) for map, x in _both(sides, held_out)]
        wanted = held_out[1] if sides.target is None else vectors[1]
        cosines = vectors[0] @ wanted.T
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
                found.append(_tensors(self.sides(spec, context)))
        assert checks.equal_tensors(*found), "the same context gave two maps"

    def test_leaves_the_process_alone(self, spec: AlignerSpec, context: AlignContext) -> None:
        with checks.leaves_the_process_alone():
            self.sides(spec, context)

    def test_works_offline(self, spec: AlignerSpec, context: AlignContext, monkeypatch: Any) -> None:
        checks.refuse_connections(monkeypatch)
        self.sides(spec, context)

    def test_restore(
        self, spec: AlignerSpec, context: AlignContext, held_out: tuple[Inputs, Tensor], tmp_path: Path
    ) -> None:
        """A map's tensors, through a file, give the same map: of each side that it maps."""
        for map, x in _both(self.sides(spec, context), held_out):
            restored = self.make(spec).restore(checks.through_file(dict(map.state_dict()), tmp_path))
            torch.testing.assert_close(_apply(restored, x), _apply(map, x), atol=1e-6, rtol=1e-6)
            assert checks.equal_tensors(dict(restored.state_dict()), dict(map.state_dict()))


def _both(sides: Sides, held_out: tuple[Inputs, Tensor]) -> Iterator[tuple[nn.Module, Inputs]]:
    """Each side's map, if there is one, and what it can be given. Unit vectors are fit for the target's map."""
    x, wanted = held_out
    yield sides.source, x
    if sides.target is not None:
        yield sides.target, {"features": wanted}


def _tensors(sides: Sides) -> dict[str, Tensor]:
    """Of both sides."""
    target = {} if sides.target is None else sides.target.state_dict()
    own = {f"source.{name}": value for name, value in sides.source.state_dict().items()}
    return {**own, **{f"target.{name}": value for name, value in target.items()}}


def _apply(map: nn.Module, x: Inputs) -> Tensor:
    with torch.no_grad():
        out: Tensor = map.eval()(x)
    return out


def _size(x: Inputs) -> int:
    return len(next(iter(x.values())))
