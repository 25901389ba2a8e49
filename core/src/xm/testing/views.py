"""Conformance of views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from xm.data.content import content_key
from xm.data.types import View
from xm.plugins.specs import ViewSpec
from xm.testing import _checks as checks


class ViewConformance:
    """Subclass, and give a fixture ``spec``; of a modality without decoding in `xm.media` also ``decoded``.

    Attributes:
        strengths: a weak and a strong one; by default the spec's bounds.
        draws: "noise1" is another one than "noise2".
    """

    strengths: ClassVar[tuple[float, float] | None] = None
    draws: ClassVar[bool] = False

    @pytest.fixture
    def spec(self) -> ViewSpec:
        raise NotImplementedError("give a fixture `spec` that returns the ViewSpec")

    @pytest.fixture
    def decoded(self, spec: ViewSpec) -> Sequence[Any]:
        """Two or more items of the modality, decoded."""
        if spec.modality not in _MADE:
            raise NotImplementedError(f"give a fixture `decoded` that returns decoded items of {spec.modality}")
        return _MADE[spec.modality]()

    def test_registered_lazily(self, spec: ViewSpec) -> None:
        checks.registers_lazily("views", spec.key)

    def test_says_what_it_is(self, spec: ViewSpec) -> None:
        assert spec.modality and View(None, f"{spec.name}2").kind == spec.name, "a name can't end in a digit"
        assert ":" not in spec.name and "," not in spec.name, "a name can't hold a colon or a comma"
        assert spec.least <= spec.most

    def test_keeps_the_kind(self, spec: ViewSpec, decoded: Sequence[Any]) -> None:
        """What comes out is decoded as what went in is, and within its range."""
        for item in decoded:
            for view in self._views(spec):
                out = spec.load()(item, view)
                assert isinstance(out, type(item)), f"{view.text}: a {type(out).__name__} of a {type(item).__name__}"
                _CHECKED.get(spec.modality, lambda *_: None)(item, out)

    def test_deterministic(self, spec: ViewSpec, decoded: Sequence[Any]) -> None:
        """The item's content and the view decide, nothing else."""
        for item in decoded:
            for view in self._views(spec):
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(1)
                    first = _key(spec.load()(item, view))
                assert first == _key(spec.load()(deepcopy(item), view)), f"{view.text}: the same item, another view"

    def test_sees_something_else(self, spec: ViewSpec, decoded: Sequence[Any]) -> None:
        changed = [_key(spec.load()(item, View(item, spec.name))) != _key(item) for item in decoded]
        assert any(changed), f"{spec.name} changes none of the items"

    def test_numbers(self, spec: ViewSpec, decoded: Sequence[Any]) -> None:
        """Views of one kind and other numbers differ if they are drawn, and are the same if nothing is."""
        several = [{_key(spec.load()(item, View(item, f"{spec.name}{n}"))) for n in range(1, 5)} for item in decoded]
        if self.draws:
            assert any(len(found) > 1 for found in several), f"{spec.name}1 to {spec.name}4 are one view"
        else:
            assert all(len(found) == 1 for found in several), f"{spec.name}1 is not {spec.name}2: say draws = True"

    def test_strength(self, spec: ViewSpec, decoded: Sequence[Any]) -> None:
        """A stronger view is another one, of the same draw."""
        if not spec.strength:
            pytest.skip(f"{spec.name} has no strength")
        weak, strong = self._strengths(spec)
        views = [View(None, spec.name, {"strength": strength}) for strength in (weak, strong)]
        found = [{_key(spec.load()(item, view)) for view in views} for item in decoded]
        assert any(len(keys) == 2 for keys in found), f"{spec.name}:{weak:g} and {spec.name}:{strong:g} are one view"

    def test_leaves_the_item_and_the_process_alone(self, spec: ViewSpec, decoded: Sequence[Any]) -> None:
        before = [_key(item) for item in decoded]
        with checks.leaves_the_process_alone():
            for item in decoded:
                for view in self._views(spec):
                    spec.load()(item, view)
        assert [_key(item) for item in decoded] == before, "the item was changed"

    def _views(self, spec: ViewSpec) -> list[View]:
        """As a user may name them: the plain one, a numbered one, and with strengths."""
        found = [View(None, spec.name), View(None, f"{spec.name}2")]
        if spec.strength:
            found += [View(None, spec.name, {"strength": strength}) for strength in self._strengths(spec)]
        return found

    def _strengths(self, spec: ViewSpec) -> tuple[float, float]:
        found = self.strengths or (spec.least, spec.most)
        assert all(map(np.isfinite, found)), "give `strengths`, a weak and a strong one: the spec has no bounds"
        return found


def _key(decoded: Any) -> str:
    """By content."""
    if isinstance(decoded, Tensor):
        return content_key(decoded.numpy())
    if isinstance(decoded, tuple | list):
        return content_key([_key(part) for part in decoded])
    return content_key(decoded)


def _images() -> list[Any]:
    """In colour, wide and high; grey."""
    from PIL import Image

    draw = np.random.default_rng(1)
    smooth = [draw.integers(40, 200, shape, dtype=np.uint8) for shape in ((6, 9, 3), (10, 7, 3), (8, 8))]
    sizes = ((90, 60), (70, 110), (64, 64))
    return [Image.fromarray(array).resize(size) for array, size in zip(smooth, sizes, strict=True)]


def _sounds() -> list[tuple[Tensor, int]]:
    """Half a second of tones at 16 kHz, and of a decaying noise at 8 kHz."""
    time = torch.arange(8000) / 16000
    noise = 0.3 * torch.randn(4000, generator=torch.Generator().manual_seed(1)) * torch.linspace(1, 0.1, 4000)
    tones = 0.2 * sum((torch.sin(2 * torch.pi * hertz * time) for hertz in (220, 1000, 5000)), torch.zeros(8000))
    return [(tones, 16000), (noise.clamp(-1, 1), 8000)]


def _videos() -> list[list[Any]]:
    return [[np.asarray(image.convert("RGB").resize((32, 24))) for image in _images()]]


def _check_image(before: Any, after: Any) -> None:
    assert min(after.size) > 0, "an image without pixels"
    assert after.mode in (before.mode, "L", "RGB"), f"an image of mode {after.mode}"


def _check_sound(before: Any, after: Any) -> None:
    assert len(after) == 2 and after[1] == before[1], "(samples, rate) of the same rate is wanted"
    samples = after[0]
    assert isinstance(samples, Tensor) and samples.ndim == 1 and samples.dtype == torch.float32 and len(samples)
    assert bool(samples.isfinite().all()), "samples are not finite"
    assert float(samples.abs().max()) <= 1, "samples exceed 1"


def _check_text(before: Any, after: Any) -> None:
    assert after.strip(), "a text without words"


def _check_video(before: Any, after: Any) -> None:
    assert len(after) == len(before), "other frames"
    for frame in after:
        assert isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3


_MADE: Mapping[str, Callable[[], Sequence[Any]]] = {
    "image": _images,
    "audio": _sounds,
    "text": lambda: ["A photo of a small dog.", "Rain on a tin roof", "two"],
    "video": _videos,
}
"""Decoded items, by modality."""

_CHECKED: Mapping[str, Callable[[Any, Any], None]] = {
    "image": _check_image,
    "audio": _check_sound,
    "text": _check_text,
    "video": _check_video,
}
"""What decoded items must be, before and after."""
