"""Affine maps between spaces, and ridge regression to find them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Affine(nn.Module):
    """``x @ weight + bias``, frozen.

    Args:
        weight: (dim in, dim out).
        bias: (dim out,).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


def ridge(x: Tensor, y: Tensor, alphas: Sequence[float]) -> Affine:
    """Ridge regression of y (n, dim out) on x (n, dim in), with an intercept.

    Of `alphas` the one with the least leave-one-out squared error is taken (scikit-learn's RidgeCV).
    """
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(alphas=list(alphas)).fit(x.double().cpu().numpy(), y.double().cpu().numpy())
    weight = torch.from_numpy(model.coef_.T.copy()).to(x.dtype)
    bias = torch.from_numpy(model.intercept_.copy()).to(x.dtype)
    return Affine(weight, bias)
