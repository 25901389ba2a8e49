"""The mean of encoders of one space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Prototypes
from xm.learning import Inputs
from xm_plain.joined import Joined


class Mean(Joined):
    """The weighted mean of the unit vectors of several encoders of one space, at unit length; it is in that space.

    ``v = Σ w_i u_i / |Σ w_i u_i|``, u_i the unit vectors, w_i the weights, 1 if none is given. Vectors that cancel
    each other give zeros, which `xm` refuses. Arguments and errors are those of `Joined`.

    Raises:
        UsageError: also if the parts are of several spaces, or of one name but different lengths.
    """

    name: ClassVar[str] = "mean"
    example: ClassVar[str] = "mean:yamnet:length=crop+yamnet:length=chunks or mean:A*2+B"

    def __init__(self, argument: str = "", modality: str | None = None) -> None:
        super().__init__(argument, modality)
        first = self.parts[0]
        self.space, self.dim = first.space, first.dim
        for reference, part in zip(self.references, self.parts, strict=True):
            if part.space != self.space:
                raise self.error(
                    f"{self.references[0]} is in the space {self.space!r}, {reference} in {part.space!r}; the mean of "
                    f"vectors of two spaces says nothing: put them side by side, concat:{argument}"
                )
            if part.dim != self.dim:
                raise self.error(
                    f"{self.references[0]} gives {self.dim} numbers, {reference} {part.dim}, and both say that they "
                    f"are in the space {self.space!r}"
                )

    @cached_property
    def _prototypes(self) -> Prototypes | None:
        found = [part.prototypes() for part in self.parts]
        known = [one for one in found if one is not None]
        if len(known) < len(found) or len({one.names for one in known}) > 1:
            return None
        return Prototypes(known[0].names, self._mean([one.weight for one in known]), known[0].texts)

    def prototypes(self) -> Prototypes | None:
        """The weighted mean of the parts' rows, if all have the same names in the same order, else None."""
        return self._prototypes

    def compute(self, prepared: Sequence[tuple[Any, ...]]) -> Inputs:
        """``features`` (n, dim), at unit length already; with prototypes ``scores`` (n, classes), weighted means."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        rows = self.rows(prepared)
        features = normalize(self._mean([vectors for vectors, _ in rows]), dim=-1)
        if self._prototypes is None:
            return {"features": features}
        return {"features": features, "scores": self._mean([x["scores"] for _, x in rows])}

    def _mean(self, values: Sequence[Tensor]) -> Tensor:
        """By the weights, of tensors of one shape."""
        whole = sum(self.weights)
        shares = torch.tensor([weight / whole for weight in self.weights], device=values[0].device)
        return torch.einsum("p,p...->...", shares, torch.stack(list(values)))
