"""The aligner `croma`: meta-alignment of both sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from xm import AlignContext, Aligner, Stream, UsageError
from xm.alignment import Projection, Sides
from xm.encoders import Tail
from xm.learning import Inputs, make_pair_objective
from xm.plugins import Config, manager
from xm_aligners.croma.meta import meta_align
from xm_aligners.croma.model import MetaModel
from xm_aligners.croma.settings import MetaConfig
from xm_aligners.croma.tasks import FEATURES, SOURCE, TARGET, MetaData


class Croma(Aligner):
    """Algorithm 1 of Liang et al. (ACM Multimedia 2021).

    The context's target, the anchor, is what the paper calls the source modality: it has the labels. The context's
    source is the paper's low-resource target. Both are mapped into a new space.
    """

    uses_pairs = True
    config_type: ClassVar[type[Config]] = MetaConfig

    @property
    def moves_target(self) -> bool:
        return True

    def why_not(self, context: AlignContext) -> str | None:
        anchor = context.target.modality
        missing = context.lacks_pairs(2)
        if missing is not None:
            return missing
        if context.labelled is None or context.labelled.y is None:
            return f"there are no labelled {anchor} items, which its source tasks are drawn from"
        if len(context.labelled.y.unique()) < 2:  # type: ignore[no-untyped-call]
            return f"the labelled {anchor} items are of one class; source tasks need two"
        return None

    def fit(self, context: AlignContext) -> nn.Module:
        raise UsageError(
            f"aligner 'croma' moves {context.target.modality} too, so it can't bring {context.source.modality} home: "
            "use it with xm align --aligner croma, and give the run as encoder"
        )

    def sides(self, context: AlignContext) -> Sides:
        """Both meta encoders, frozen.

        Raises:
            UsageError: if pairs or labels are missing.
        """
        missing = self.why_not(context)
        if missing is not None:
            raise UsageError(f"aligner 'croma' can't be used: {missing}")
        model = self.meta(context)
        sides = [nn.Sequential(Tail(), side).requires_grad_(False).eval() for side in (model.target, model.source)]
        return Sides(*sides)

    def meta(self, context: AlignContext) -> MetaModel:
        """The meta encoders and the meta classifier."""
        config = self.config
        objective = make_pair_objective(config.objective, config.objective_set, manager())
        return meta_align(
            _data(context),
            objective,
            config,
            seed=context.seed,
            checkpoint=context.checkpoint,
            listener=context.listener,
        )

    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        own = {name.removeprefix("1."): value for name, value in tensors.items()}
        return nn.Sequential(Tail(), Projection.restored(own)).requires_grad_(False).eval()


def _data(context: AlignContext) -> MetaData:
    """The context's pairs and labels, in the paper's words and at unit length."""
    pairs, labelled = context.pairs, context.labelled
    if pairs is None or labelled is None:
        raise ValueError("croma needs pairs and labels")
    x = {SOURCE: _unit(pairs.target), TARGET: _unit(pairs.source)}
    return MetaData(
        source=Stream(labelled.modality, {FEATURES: _unit(labelled.x)}, labelled.labels).to(context.device),
        pairs=Stream("pairs", x, pairs.group).to(context.device),
        crosswise=pairs.group is not None,
    )


def _unit(x: Inputs) -> Tensor:
    unit: Tensor = Tail()(x)
    return unit
