"""Canonical correlation analysis between spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from xm import AlignContext, Aligner, DataError
from xm.alignment import Affine, Pairs, Sides
from xm.encoders import Tail
from xm.plugins import Config
from xm_aligners.cca.correlation import Canonical, Whitened, analyse
from xm_aligners.cca.maps import projections, regression
from xm_aligners.cca.selection import choose


class CcaConfig(Config):
    """Settings of the cca aligner."""

    dim: int | None = Field(
        None,
        gt=0,
        description="canonical directions, at most; none: all, or of sides=source as many as pairs left out pick",
    )
    regularisation: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        (0.01, 0.03, 0.1, 0.3, 0.6, 0.9),
        min_length=1,
        description="how far variances are drawn to their mean, 0 to 1; pairs left out pick one",
    )
    sides: Literal["source", "both"] = Field(
        "source", description="which side moves: source, into the target's space; both, into the canonical one"
    )
    power: float = Field(0.5, ge=0, description="of the correlations, as weights of the directions of sides=both")


class Cca(Aligner):
    """Directions of both spaces along which the pairs are most correlated.

    With sides=both these directions are the new space. With sides=source, the source's scores along them predict the
    target's, and the target is put together again from those.
    """

    uses_pairs = True
    config_type: ClassVar[type[Config]] = CcaConfig

    @property
    def moves_target(self) -> bool:
        moves: bool = self.config.sides == "both"
        return moves

    def why_not(self, context: AlignContext) -> str | None:
        return context.lacks_pairs(2)

    def fit(self, context: AlignContext) -> nn.Module:
        """The source's map, to where the target is, whatever `sides` says."""
        alone = Cca(self.config.model_copy(update={"sides": "source"}))
        return alone.sides(context).source

    def sides(self, context: AlignContext) -> Sides:
        """The maps of both sides.

        Raises:
            DataError: if the items of one side are all alike.
        """
        if context.pairs is None:
            raise ValueError("cca needs pairs")
        found, dim = self._analyse(context.pairs, context.seed)
        if self.moves_target:
            maps = projections(found, dim, self.config.power)
            source, target = (nn.Sequential(Tail(), map).to(context.device) for map in maps)
            return Sides(source, target)
        return Sides(nn.Sequential(Tail(), regression(found, dim)).to(context.device))

    def _analyse(self, pairs: Pairs, seed: int) -> tuple[Canonical, int]:
        tail = Tail()
        x, y = (tail(side).detach().double().cpu() for side in (pairs.source, pairs.target))
        group = None if pairs.group is None else pairs.group.cpu()
        whole = Whitened.of(x), Whitened.of(y)
        rank = min(len(side.spread) for side in whole)
        if not rank:
            raise DataError("cca: the items of one side of the pairs are all alike; give pairs that differ")
        dims = [min(self.config.dim or rank, rank)]
        if self.config.dim is None and not self.moves_target:
            dims = [*_doubled(rank), rank]
        share, dim = choose(x, y, group, self.config.regularisation, dims, self._mapped, seed)
        return analyse(*whole, share), dim

    def _mapped(self, found: Canonical, x: Tensor, y: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        if self.moves_target:
            maps = projections(found, dim, self.config.power)
            return maps[0](x.float()), maps[1](y.float())
        return regression(found, dim)(x.float()), y.float()

    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        return nn.Sequential(Tail(), Affine(tensors["1.weight"], tensors["1.bias"]))


def _doubled(rank: int) -> list[int]:
    """1, 2, 4 … below `rank`."""
    return [2**k for k in range(rank.bit_length()) if 2**k < rank]
