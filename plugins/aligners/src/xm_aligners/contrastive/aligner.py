"""Maps learned by gradient steps on an objective of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import AlignContext, Aligner, Plan, Stream, fit
from xm.alignment import MapKind, Projection, Sides, ridge
from xm.encoders import Tail
from xm.evaluation import mean_reciprocal_rank
from xm.learning import Behind, make_pair_objective
from xm.plugins import Config, manager
from xm_aligners.contrastive.held_out import split
from xm_aligners.contrastive.model import PAIRS, SOURCE, TARGET, PairModel, embedded, loss, side, stream_of

ALPHAS = tuple(10.0**k for k in range(-4, 3))
"""Regularisers of the ridge regression that the source's map starts with; leave-one-out error picks one."""

Beta: TypeAlias = Annotated[float, Field(ge=0, lt=1)]

WARMUP = 10
"""Steps of linear warm-up."""


class ContrastiveConfig(Config):
    """Settings of the contrastive aligner."""

    objective: str = Field("infonce", description="what is minimised: the name of an objective of pairs")
    objective_set: dict[str, Any] = Field({}, description="the objective's own settings")
    map: MapKind = Field("linear", description="of each side that moves: linear, mlp, or adapter, the sum of both")
    hidden: int = Field(512, gt=0, description="units of the hidden layer of an mlp or adapter")
    sides: Literal["source", "both"] = Field(
        "source", description="which side moves: source, into the target's space; both, into a new one"
    )
    dim: int | None = Field(None, gt=0, description="of the new space of sides=both; none: the target's")
    start: Literal["ridge", "orthogonal"] = Field(
        "ridge", description="of the source's linear part: ridge regression on the pairs, or an orthogonal matrix"
    )
    depth: int = Field(
        0, ge=-1, description="last blocks of the source's encoder that are trained too; 0: none, -1: all"
    )
    steps: int = Field(100, ge=0, description="at most")
    lr: float = Field(1e-4, gt=0, description="AdamW's peak learning rate")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's")
    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="AdamW's; CLIP's for ViTs: 0.9,0.98")
    schedule: Literal["cosine", "constant", "linear"] = Field("cosine", description="of the learning rate; CLIP's")
    batch_size: int = Field(256, ge=2, description="pairs in a step; the others of a batch are the wrong partners")
    val: float = Field(0.0, ge=0, lt=1, description="share of the pairs kept to pick the best step; 0: the last counts")
    eval_every: int = Field(10, gt=0, description="steps between two looks at the kept pairs")
    patience: int | None = Field(10, gt=0, description="looks without a better one before it stops; none: never")


class Contrastive(Aligner):
    """Maps of one side or both that make an objective of pairs small.

    The maps take unit vectors; the objective sees their outputs at unit length. Its own parameters are trained with the
    maps, and left behind.
    """

    uses_pairs = True
    config_type: ClassVar[type[Config]] = ContrastiveConfig

    @property
    def moves_target(self) -> bool:
        moves: bool = self.config.sides == "both"
        return moves

    @property
    def depth(self) -> int:
        depth: int = self.config.depth
        return depth

    def why_not(self, context: AlignContext) -> str | None:
        return context.lacks_pairs(2)

    def fit(self, context: AlignContext) -> nn.Module:
        """The source's map, to where the target is, whatever `sides` says.

        Raises:
            UsageError: if the objective is unknown.
        """
        return self._learn(context, moves_target=False).source

    def sides(self, context: AlignContext) -> Sides:
        """The maps of both sides.

        Raises:
            UsageError: if the objective is unknown.
        """
        return self._learn(context, moves_target=self.moves_target)

    def _learn(self, context: AlignContext, *, moves_target: bool) -> Sides:
        if context.pairs is None:
            raise ValueError("contrastive needs pairs")
        objective = make_pair_objective(self.config.objective, self.config.objective_set, manager())
        rows, kept = split(context.pairs, self.config.val, context.seed)
        stream = stream_of(context.pairs)
        train, val = stream[rows], stream[kept].to(context.device)
        model = PairModel(*self._start(train, context, moves_target), objective).to(context.device)

        def score() -> float:
            with torch.no_grad():
                found = model(val)
            return mean_reciprocal_rank(found.source, found.target, found.group)

        fit(
            model,
            loss,
            {PAIRS: train},
            self._plan(context.seed),
            score=score if len(kept) else None,
            on_event=context.listener,
            checkpoint=context.checkpoint,
        )
        model.eval().requires_grad_(False)
        return Sides(model.source, model.target if moves_target else None)

    def _start(self, train: Stream, context: AlignContext, moves_target: bool) -> tuple[nn.Module, nn.Module]:
        """The maps of source and target before the first step."""
        config, tail, generator = self.config, Tail(), torch.Generator().manual_seed(context.seed)
        x, y = embedded(side(train.x, SOURCE), context.tail), tail(side(train.x, TARGET))
        target: nn.Module = tail
        if moves_target:
            moving = Projection.fresh(config.map, y.shape[1], config.dim or y.shape[1], generator, config.hidden)
            with torch.no_grad():
                y = moving(y)
            target = nn.Sequential(Tail(), moving)
        begun = ridge(x, y, ALPHAS) if config.start == "ridge" and config.map != "mlp" else None
        source = Projection.fresh(config.map, x.shape[1], y.shape[1], generator, config.hidden, begun)
        map = nn.Sequential(Tail(), source)
        return map if context.tail is None else Behind(context.tail, map), target

    def _plan(self, seed: int) -> Plan:
        config = self.config
        return Plan(
            shares={PAIRS: 1.0},
            steps=config.steps,
            batch_size=config.batch_size,
            lr=config.lr,
            weight_decay=config.weight_decay,
            warmup=WARMUP,
            eval_every=config.eval_every,
            patience=config.patience,
            seed=seed,
            betas=config.betas,
            schedule=config.schedule,
        )

    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        return nn.Sequential(Tail(), Projection.restored({name[2:]: value for name, value in tensors.items()}))
