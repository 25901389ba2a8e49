"""The aligner `cca`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.cross_decomposition import CCA
from torch import Tensor
from torch.nn.functional import normalize

from xm import AlignContext, AlignerSpec, DataError, Encoder, UsageError
from xm.alignment import Pairs
from xm.evaluation import mean_reciprocal_rank
from xm.foundation import read_tensors, write_tensors
from xm.learning import Inputs
from xm.plugins import manager
from xm.testing import AlignerConformance
from xm_aligners.cca.aligner import Cca
from xm_aligners.cca.correlation import Canonical, Whitened, analyse
from xm_aligners.cca.maps import regression
from xm_aligners.cca.selection import LOOKED_AT, choose, folds

KNOWN, HELD_OUT = 120, 40


class TestConformance(AlignerConformance):
    @pytest.fixture
    def spec(self) -> AlignerSpec:
        return manager().aligners.find("cca")

    def test_both_sides_meet(self, spec: AlignerSpec, context: AlignContext, tmp_path: Path) -> None:
        """Held-out things find each other in the new space; the maps' tensors give the maps again."""
        sides = spec.load()({"sides": "both", "dim": 5}).sides(context)
        things = range(KNOWN, KNOWN + HELD_OUT)
        assert sides.target is not None
        found = []
        for map, encoder in ((sides.source, context.source), (sides.target, context.target)):
            assert not any(p.requires_grad for p in map.parameters())
            found.append(map(encoder.trunk(things)))
            write_tensors(tmp_path / "map.safetensors", dict(map.state_dict()))
            again = spec.load()({"sides": "both"}).restore(read_tensors(tmp_path / "map.safetensors"))
            assert torch.equal(again(encoder.trunk(things)), found[-1])
        assert found[0].shape == found[1].shape == (HELD_OUT, 5)
        cosines = normalize(found[0], dim=1) @ normalize(found[1], dim=1).T
        assert float((cosines.argmax(dim=1) == torch.arange(HELD_OUT)).float().mean()) > 0.9
        assert float(cosines.diagonal().mean()) > 0.9


class Numbers(Encoder):
    """Stands for an encoder; only its modality is looked at."""

    def __init__(self, modality: str) -> None:
        self.modality = self.space = modality

    def fingerprint(self) -> str:
        return self.space

    def trunk(self, items: Any) -> Inputs:
        raise AssertionError("cca needs the pairs alone")


def draw(n: int, p: int, q: int, shared: int = 3, noise: float = 0.5) -> tuple[Tensor, Tensor]:
    """n rows of p and q numbers that share some hidden ones."""
    generator = torch.Generator().manual_seed(n + p)
    hidden, left, right, x, y = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((n, shared), (shared, p), (shared, q), (n, p), (n, q))
    )
    return hidden @ left + noise * x + 1, hidden @ right + noise * y - 1


def pairs_context(x: Tensor, y: Tensor, group: Tensor | None = None) -> AlignContext:
    pairs = Pairs({"features": x.float()}, {"features": y.float()}, group)
    return AlignContext(Numbers("audio"), Numbers("image"), None, pairs, lambda encoder, items: encoder.trunk(items))


def covariances(x: Tensor, y: Tensor, share: float) -> tuple[Any, Any, Any]:
    """Sxy, Cx and Cy as plain matrices; the shrinkage goes by the mean variance of what the rows span."""
    a, b = ((side - side.mean(dim=0)).numpy() for side in (x, y))

    def shrunk(rows: Any) -> Any:
        own = rows.T @ rows / (len(rows) - 1)
        mean = np.trace(own) / min(len(rows) - 1, own.shape[0])
        return (1 - share) * own + share * mean * np.eye(len(own))

    return a.T @ b / (len(a) - 1), shrunk(a), shrunk(b)


@pytest.mark.parametrize(("n", "p", "q", "share"), [(200, 6, 4, 0.0), (200, 6, 4, 0.3), (20, 50, 30, 0.3)])
def test_it_is_the_generalised_eigenproblem(n: int, p: int, q: int, share: float) -> None:
    """Also with fewer pairs than dimensions, where only directions that the pairs span count."""
    x, y = draw(n, p, q)
    cross, cx, cy = covariances(x, y, share)
    left = np.block([[np.zeros((p, p)), cross], [cross.T, np.zeros((q, q))]])
    right = np.block([[cx, np.zeros((p, q))], [np.zeros((q, p)), cy]])
    values, vectors = scipy.linalg.eigh(left, right)
    found = analyse(Whitened.of(x), Whitened.of(y), share)
    k = min(n - 1, p, q)
    assert found.correlation.shape == (k,)
    np.testing.assert_allclose(found.correlation.numpy(), values[::-1][:k], atol=1e-8)
    np.testing.assert_allclose(found.source.T.numpy() @ cx @ found.source.numpy(), np.eye(k), atol=1e-8)
    np.testing.assert_allclose(found.target.T.numpy() @ cy @ found.target.numpy(), np.eye(k), atol=1e-8)
    np.testing.assert_allclose(found.back.numpy(), found.target.T.numpy() @ cy, atol=1e-8)
    for i in range(3):
        own = np.concatenate([found.source[:, i].numpy(), found.target[:, i].numpy()])
        cosine = own @ vectors[:, -1 - i] / np.linalg.norm(own) / np.linalg.norm(vectors[:, -1 - i])
        assert abs(cosine) == pytest.approx(1, abs=1e-7)


def test_it_is_scikit_learns_cca() -> None:
    x, y = draw(200, 6, 4)
    theirs = CCA(n_components=3, scale=False, max_iter=10_000, tol=1e-12).fit(x.numpy(), y.numpy())
    a, b = theirs.transform(x.numpy(), y.numpy())
    found = analyse(Whitened.of(x), Whitened.of(y), 0.0)
    for i in range(3):
        assert float(found.correlation[i]) == pytest.approx(np.corrcoef(a[:, i], b[:, i])[0, 1], abs=1e-6)
        ours = ((x - x.mean(dim=0)) @ found.source[:, i]).numpy()
        assert abs(np.corrcoef(ours, a[:, i])[0, 1]) == pytest.approx(1, abs=1e-6)


def test_with_all_directions_the_source_alone_is_regression() -> None:
    x, y = draw(200, 6, 4)
    design = np.hstack([x.numpy(), np.ones((200, 1))])
    expected = np.linalg.lstsq(design, y.numpy(), rcond=None)[0]
    map = regression(analyse(Whitened.of(x), Whitened.of(y), 0.0), 4)
    np.testing.assert_allclose(map.weight.numpy(), expected[:-1], atol=1e-5)
    np.testing.assert_allclose(map.bias.numpy(), expected[-1], atol=1e-5)
    x, y = draw(20, 50, 30)
    cross, cx, _ = covariances(x, y, 0.3)
    map = regression(analyse(Whitened.of(x), Whitened.of(y), 0.3), 19)
    np.testing.assert_allclose(map.weight.numpy(), np.linalg.solve(cx, cross), atol=1e-5)


def test_fewer_directions_are_a_map_of_that_rank() -> None:
    x, y = draw(200, 6, 4)
    tensors = Cca({"dim": 2, "regularisation": [0.1]}).fit(pairs_context(x, y)).state_dict()
    assert tensors["1.weight"].shape == (6, 4)
    assert int(torch.linalg.matrix_rank(tensors["1.weight"], rtol=1e-4)) == 2


def test_both_sides_are_scores_weighted_by_correlation() -> None:
    x, y = (normalize(side, dim=1) for side in draw(60, 6, 4))
    sides = Cca({"sides": "both", "dim": 3, "power": 2.0, "regularisation": [0.2]}).sides(pairs_context(x, y))
    found = analyse(Whitened.of(x), Whitened.of(y), 0.2)
    assert sides.target is not None
    for map, rows, directions in ((sides.source, x, found.source), (sides.target, y, found.target)):
        expected = (rows - rows.mean(dim=0)) @ directions[:, :3] * found.correlation[:3] ** 2
        signs = (map({"features": rows.float()}) * expected).sum(dim=0).sign()
        torch.testing.assert_close(map({"features": rows.float()}).double() * signs, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("dim", [99, None])
def test_both_sides_keep_all_directions_unless_told(dim: int | None) -> None:
    sides = Cca({"sides": "both", "dim": dim}).sides(pairs_context(*draw(20, 50, 30)))
    assert sides.source({"features": torch.ones(1, 50)}).shape == (1, 19)


def mapped(found: Canonical, x: Tensor, y: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    return regression(found, dim)(x.float()), y.float()


def test_pairs_left_out_choose() -> None:
    """Three hidden numbers under much noise: neither one direction nor all, and not without a penalty."""
    x, y = draw(60, 30, 30, noise=1.0)
    share, dim = choose(x, y, None, (0.0, 0.5), (1, 3, 30), mapped, seed=1)
    assert (share, dim) == (0.5, 3)
    totals = {}
    for candidate in ((0.0, 3), (0.5, 1), (0.5, 3), (0.5, 30)):
        ranks = []
        for rest, out in folds(60, None, 1):
            vectors = mapped(
                analyse(Whitened.of(x[rest]), Whitened.of(y[rest]), candidate[0]), x[out], y[out], candidate[1]
            )
            one, other = (normalize(side, dim=1) for side in vectors)
            ranks.append(len(out) * mean_reciprocal_rank(one, other))
        totals[candidate] = sum(ranks)
    assert max(totals, key=totals.__getitem__) == (0.5, 3)


def test_folds_keep_groups_whole() -> None:
    group = torch.tensor([7, 7, 3, 3, 3, 1, 2, 5, 5])
    parts = list(folds(9, group, seed=1))
    assert len(parts) == 2
    assert sorted(row for _, out in parts for row in out.tolist()) == list(range(9))
    for rest, out in parts:
        assert not set(group[rest].tolist()) & set(group[out].tolist())
        assert len(group[out].unique()) >= 2
    assert [len(out) for _, out in folds(40, None, seed=1)] == [8] * 5
    assert not list(folds(9, group % 3, seed=1))
    assert [len(out) for _, out in folds(6000, None, seed=1)] == [LOOKED_AT] * 5


def test_too_few_groups_to_leave_out_take_the_strongest() -> None:
    x, y = draw(3, 6, 4)
    assert choose(x, y, None, (0.1, 0.9), (1, 2), mapped, seed=1) == (0.9, 2)
    assert Cca().fit(pairs_context(x[:2], y[:2]))({"features": x.float()}).isfinite().all()


def test_groups_are_left_out_as_a_whole() -> None:
    """Of three groups none can be left out, so that the strongest regularisation and all directions are taken."""
    x, y = draw(60, 6, 4)
    chosen = Cca({"regularisation": [0.1, 0.9]}).fit(pairs_context(x, y, torch.arange(60) % 3)).state_dict()
    strongest = Cca({"regularisation": [0.9], "dim": 4}).fit(pairs_context(x, y)).state_dict()
    without = Cca({"regularisation": [0.1, 0.9]}).fit(pairs_context(x, y)).state_dict()
    assert torch.equal(chosen["1.weight"], strongest["1.weight"])
    assert not torch.equal(chosen["1.weight"], without["1.weight"])


def test_says_what_is_missing() -> None:
    context = pairs_context(*draw(2, 6, 4))
    assert Cca().why_not(context) is None
    assert Cca().why_not(replace(context, pairs=None)) == "there are no pairs of audio and image items"
    one = pairs_context(*draw(1, 6, 4))
    assert Cca().why_not(one) == "at least 2 pairs of audio and image items are needed, not 1"


def test_the_source_alone_can_be_mapped_whatever_sides_says() -> None:
    assert Cca({"sides": "both"}).moves_target and not Cca().moves_target
    both, alone = (
        Cca({"sides": sides}).fit(pairs_context(*draw(20, 6, 4))).state_dict() for sides in ("both", "source")
    )
    assert all(torch.equal(value, alone[name]) for name, value in both.items())


def test_pairs_that_are_all_alike() -> None:
    with pytest.raises(DataError, match="all alike"):
        Cca().fit(pairs_context(torch.ones(5, 6), draw(5, 6, 4)[1]))


@pytest.mark.parametrize("wrong", [{"regularisation": []}, {"regularisation": [1.5]}, {"dim": 0}, {"sides": "none"}])
def test_wrong_settings(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"Cca: {next(iter(wrong))}"):
        Cca(wrong)
