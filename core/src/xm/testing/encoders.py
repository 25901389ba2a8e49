"""Conformance of encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from xm.data.content import item_name
from xm.encoders.encoder import Encoder, Placed
from xm.encoders.pipeline import encode
from xm.foundation.errors import XMError
from xm.plugins.specs import ANY, EncoderSpec
from xm.testing import _checks as checks


class EncoderConformance:
    """Subclass, and give two fixtures: ``spec`` and ``items`` (three or more different ones).

    Override ``argument`` if the encoder needs one, ``bad_item`` with something it can't read, and
    ``labelled`` with ``(items, labels)`` of a small real task if pretrained weights are at hand.
    """

    argument = ""

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        raise NotImplementedError("give a fixture `spec` that returns the EncoderSpec")

    @pytest.fixture
    def items(self) -> Sequence[Any]:
        raise NotImplementedError("give a fixture `items` that returns three or more items")

    @pytest.fixture
    def bad_item(self) -> Any:
        pytest.skip("no `bad_item` fixture: the encoder's refusal of unreadable items is not looked at")

    @pytest.fixture
    def labelled(self) -> tuple[Sequence[Any], Sequence[int]]:
        pytest.skip("no `labelled` fixture: with no pretrained weights at hand, chance is not beaten")

    @pytest.fixture
    def encoder(self, spec: EncoderSpec) -> Encoder:
        reason = spec.why_not()
        if reason and not self.argument:
            pytest.skip(f"{spec.name}: {reason}")
        made: Encoder = spec.load()(self.argument)
        return made

    def test_registered_lazily(self, spec: EncoderSpec) -> None:
        checks.registers_lazily("encoders", spec.name)

    def test_says_what_it_is(self, spec: EncoderSpec, encoder: Encoder) -> None:
        assert isinstance(encoder, Encoder)
        assert spec.modality in (encoder.modality, ANY)
        assert encoder.space and encoder.dim > 0
        assert spec.modality == ANY or tuple(encoder.suffixes) == tuple(spec.suffixes)
        assert all(s.startswith(".") and s == s.lower() for s in encoder.suffixes)

    def test_unit_norm(self, encoder: Encoder, items: Sequence[Any]) -> None:
        out = encoder.encode(items)
        assert out.shape == (len(items), encoder.dim)
        assert out.dtype == torch.float32
        torch.testing.assert_close(out.norm(dim=1), torch.ones(len(items)))

    def test_items_differ(self, encoder: Encoder, items: Sequence[Any]) -> None:
        out = encoder.encode(items)
        assert not torch.allclose(out[0], out[1], atol=1e-4), "two different items, one embedding"

    def test_deterministic(self, spec: EncoderSpec, encoder: Encoder, items: Sequence[Any]) -> None:
        again: Encoder = spec.load()(self.argument)
        assert torch.equal(encoder.encode(items), again.encode(items))

    def test_batch_size_does_not_matter(self, encoder: Encoder, items: Sequence[Any]) -> None:
        whole = encoder.encode(items)
        single = torch.cat([encoder.encode([item]) for item in items])
        torch.testing.assert_close(whole, single, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(encoder.encode(list(items)[::-1]).flip(0), whole, atol=1e-4, rtol=1e-4)

    def test_read_ahead_in_threads(self, encoder: Encoder, items: Sequence[Any]) -> None:
        """As `xm embed` and the feature store read: several threads prepare, in batches that may be sorted by size."""
        many = [*items, *reversed(items)]
        rows: dict[int, torch.Tensor] = {}
        for part in encode(encoder, many, workers=3):
            rows |= dict(zip(part.rows, encoder.split(0)[1](part.x), strict=True))
        found = torch.stack([rows[i] for i in range(len(many))])
        torch.testing.assert_close(found, encoder.encode(many), atol=1e-4, rtol=1e-4)

    def test_no_items(self, encoder: Encoder) -> None:
        assert encoder.encode([]).shape == (0, encoder.dim)

    def test_fingerprint(self, spec: EncoderSpec, encoder: Encoder) -> None:
        other: Encoder = spec.load()(self.argument)
        assert encoder.fingerprint() and encoder.fingerprint() == other.fingerprint()

    def test_depth_0_is_encode(self, encoder: Encoder, items: Sequence[Any]) -> None:
        trunk, tail = encoder.split(0)
        x = trunk(items)
        assert all(len(value) == len(items) for value in x.values())
        with torch.no_grad():
            torch.testing.assert_close(tail(x), encoder.encode(items), atol=1e-4, rtol=1e-4)

    def test_prototypes(self, encoder: Encoder, items: Sequence[Any]) -> None:
        prototypes = encoder.prototypes()
        if prototypes is None:
            pytest.skip("the encoder has no classifier of its own")
        assert prototypes.weight.shape == (len(prototypes.names), encoder.dim)
        assert prototypes.texts is None or len(prototypes.texts) == len(prototypes.names), "texts, but not of each name"
        scores = encoder.trunk(items)["scores"]
        assert scores.shape == (len(items), len(prototypes.names))
        assert float(scores.min()) >= 0 and float(scores.max()) <= 1 + 1e-5

    def test_places(self, encoder: Encoder, items: Sequence[Any]) -> None:
        """Local vectors, of an encoder that is `xm.encoders.Placed`; if it says so, their mean is the item's vector."""
        if not isinstance(encoder, Placed):
            pytest.skip("the encoder has no local vectors")
        n, x = len(items), encoder.places(items)
        tokens, mask, grid = (x[name].cpu() for name in ("tokens", "mask", "grid"))
        m = tokens.shape[1]
        assert tokens.shape == (n, m, encoder.dim), f"tokens have shape {tuple(tokens.shape)}, not (n, m, dim)"
        assert tokens.dtype == torch.float32 and bool(tokens.isfinite().all()), "tokens are no finite float32"
        assert mask.shape == (n, m) and mask.dtype == torch.bool, f"the mask is {mask.dtype} {tuple(mask.shape)}"
        assert bool(mask.any(dim=1).all()), "an item has no place"
        assert not bool(tokens[~mask].any()), "behind an item's places there are no zeros"
        assert grid.shape[:2] == (n, m) and grid.ndim == 3, f"the grid has shape {tuple(grid.shape)}, not (n, m, axes)"
        assert float(grid.min()) >= 0 and float(grid.max()) <= 1, "the grid is not within 0 and 1"
        for i, item in enumerate(items):
            alone = encoder.places([item])
            own = alone["tokens"].cpu()[0][alone["mask"].cpu()[0]]
            torch.testing.assert_close(own, tokens[i][mask[i]], atol=1e-3, rtol=1e-3, msg=lambda m: f"alone: {m}")
        if encoder.pooled:
            mean = torch.nn.functional.normalize(tokens.sum(dim=1) / mask.sum(dim=1, keepdim=True), dim=1)
            vectors = encoder.encode(items).cpu()
            torch.testing.assert_close(mean, vectors, atol=1e-4, rtol=1e-4, msg=lambda m: f"the mean of places: {m}")

    def test_bad_item(self, encoder: Encoder, bad_item: Any) -> None:
        with pytest.raises(XMError) as caught:
            encoder.encode([bad_item])
        said = checks.one_line(caught.value)
        assert str(bad_item) in said or item_name(bad_item) in said, "the error does not name the item"

    def test_works_offline(self, encoder: Encoder, items: Sequence[Any], monkeypatch: Any) -> None:
        checks.refuse_connections(monkeypatch)
        encoder.encode(items)

    def test_beats_chance(self, encoder: Encoder, labelled: tuple[Sequence[Any], Sequence[int]]) -> None:
        """Leave-one-out nearest centroid on a small real task, at twice chance or better."""
        items, labels = labelled
        x, y = encoder.encode(items), torch.as_tensor(labels)
        classes = int(y.max()) + 1
        hits = 0
        for i in range(len(y)):
            rest = torch.arange(len(y)) != i
            centroids = torch.stack([x[rest & (y == c)].mean(0) for c in range(classes)])
            hits += int((x[i] @ centroids.T).argmax() == y[i])
        assert hits / len(y) >= min(0.9, 2 / classes), f"{hits} of {len(y)} right"
