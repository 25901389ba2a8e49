"""The aligner `ridge`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from xm import AlignContext, AlignerSpec, Encoder, UsageError
from xm.alignment import Pairs
from xm.learning import Inputs
from xm.plugins import manager
from xm.testing import AlignerConformance
from xm_aligners.ridge.aligner import Ridge


class TestConformance(AlignerConformance):
    @pytest.fixture
    def spec(self) -> AlignerSpec:
        return manager().aligners.find("ridge")


class Numbers(Encoder):
    """Stands for an encoder; only its name and size are looked at."""

    def __init__(self, modality: str, dim: int) -> None:
        self.modality, self.space, self.dim = modality, modality, dim

    def fingerprint(self) -> str:
        return self.space

    def trunk(self, items: Any) -> Inputs:
        raise AssertionError("ridge needs the pairs alone")


@pytest.fixture
def context() -> AlignContext:
    """20 pairs of 6 and 4 numbers, noisy enough that the regulariser matters."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 6, generator=generator)
    y = x[:, :4] + 0.3 * torch.randn(20, 4, generator=generator) + 1
    pairs = Pairs({"features": x}, {"features": y})
    return AlignContext(
        Numbers("audio", 6), Numbers("image", 4), None, pairs, lambda encoder, items: encoder.trunk(items)
    )


def unit(x: Any) -> Any:
    return (x / x.norm(dim=1, keepdim=True)).double().numpy()


def test_it_is_scikit_learns_ridge_at_the_least_leave_one_out_error(context: AlignContext) -> None:
    assert context.pairs is not None
    x, y = unit(context.pairs.source["features"]), unit(context.pairs.target["features"])
    alphas = (1e-3, 0.3, 100.0)
    errors = [
        float(np.square(cross_val_predict(SklearnRidge(alpha=alpha), x, y, cv=LeaveOneOut()) - y).mean())
        for alpha in alphas
    ]
    best = int(np.argmin(errors))
    assert best == 1, "the test's data should ask for a regulariser in the middle"
    reference = SklearnRidge(alpha=alphas[best]).fit(x, y)
    map = Ridge({"alphas": alphas}).fit(context)
    given = {"features": context.pairs.source["features"] * 7}
    torch.testing.assert_close(map(given), torch.from_numpy(reference.predict(x)).float(), atol=1e-5, rtol=1e-4)


def test_one_alpha_is_ordinary_ridge(context: AlignContext) -> None:
    assert context.pairs is not None
    x, y = unit(context.pairs.source["features"]), unit(context.pairs.target["features"])
    middle = x - x.mean(axis=0)
    weight = np.linalg.solve(middle.T @ middle + 0.5 * np.eye(6), middle.T @ (y - y.mean(axis=0)))
    tensors = Ridge({"alphas": [0.5]}).fit(context).state_dict()
    np.testing.assert_allclose(tensors["1.weight"].numpy(), weight, atol=1e-5)
    np.testing.assert_allclose(tensors["1.bias"].numpy(), y.mean(axis=0) - x.mean(axis=0) @ weight, atol=1e-5)


def test_says_which_pairs_are_missing(context: AlignContext) -> None:
    assert Ridge().why_not(replace(context, pairs=None)) == "there are no pairs of audio and image items"


def test_needs_an_alpha() -> None:
    with pytest.raises(UsageError, match="Ridge: alphas"):
        Ridge({"alphas": []})
