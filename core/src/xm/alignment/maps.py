"""Maps between spaces: affine ones, by ridge regression, and trainable ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Self, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

MapKind: TypeAlias = Literal["linear", "mlp", "adapter"]
"""Of a `Projection`: ``S x + b``, ``U gelu(D x + c) + b``, or the sum of both, which starts as the linear one."""


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


class Projection(nn.Module):
    """A trainable map from vectors (n, dim in) to vectors (n, dim out): ``S x + U gelu(D x + c) + b``.

    Args:
        skip: S, (dim out, dim in), or None.
        hidden: D (hidden, dim in), c (hidden,) and U (dim out, hidden), or None.
        bias: b, (dim out,).
    """

    skip: Tensor | None
    down: Tensor | None
    shift: Tensor | None
    up: Tensor | None
    bias: Tensor

    def __init__(self, skip: Tensor | None, hidden: tuple[Tensor, Tensor, Tensor] | None, bias: Tensor) -> None:
        super().__init__()
        if skip is None and hidden is None:
            raise ValueError("a projection needs a skip or a hidden layer")
        down, shift, up = hidden or (None, None, None)
        for name, value in {"skip": skip, "down": down, "shift": shift, "up": up, "bias": bias}.items():
            self.register_parameter(name, None if value is None else nn.Parameter(value))

    @classmethod
    def fresh(
        cls,
        kind: MapKind,
        dim_in: int,
        dim_out: int,
        generator: torch.Generator,
        hidden: int = 512,
        start: Affine | None = None,
    ) -> Self:
        """One to be trained.

        Args:
            kind: which parts it has.
            dim_in: of what it takes.
            dim_out: of what it gives.
            generator: of the initial weights.
            hidden: size of the hidden layer.
            start: the skip and bias to start with; None: an orthogonal matrix (the identity for equal dims), and zeros.
        """
        skip = start.weight.T.contiguous().clone() if start else _orthogonal(dim_out, dim_in, generator)
        bias = start.bias.clone() if start else torch.zeros(dim_out)
        down = torch.randn(hidden, dim_in, generator=generator) * dim_in**-0.5
        up = torch.randn(dim_out, hidden, generator=generator) * hidden**-0.5
        parts: dict[MapKind, tuple[Tensor | None, tuple[Tensor, Tensor, Tensor] | None]] = {
            "linear": (skip, None),
            "mlp": (None, (down, torch.zeros(hidden), up)),
            "adapter": (skip, (down, torch.zeros(hidden), torch.zeros_like(up))),
        }
        return cls(*parts[kind], bias)

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The same again, from its `state_dict`."""
        hidden = (tensors["down"], tensors["shift"], tensors["up"]) if "down" in tensors else None
        return cls(tensors.get("skip"), hidden, tensors["bias"])

    def forward(self, x: Tensor) -> Tensor:
        out = self.bias
        if self.skip is not None:
            out = out + x @ self.skip.T
        if self.down is not None and self.shift is not None and self.up is not None:
            out = out + gelu(x @ self.down.T + self.shift) @ self.up.T
        return out


def _orthogonal(dim_out: int, dim_in: int, generator: torch.Generator) -> Tensor:
    weight = torch.empty(dim_out, dim_in)
    if dim_out == dim_in:
        return nn.init.eye_(weight)
    return nn.init.orthogonal_(weight, generator=generator)
