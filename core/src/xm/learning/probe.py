"""The linear probe: a softmax classifier without bias, on embeddings of one or several modalities."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Annotated, ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from xm.foundation.device import spread, threads
from xm.foundation.errors import UsageError
from xm.learning.choosing import likeliest_scale, mean_of_best
from xm.learning.context import Context
from xm.learning.lbfgs import path
from xm.learning.model import EMBEDDING, LinearClassifier, class_means
from xm.learning.objectives import cross_entropy
from xm.learning.predictor import Argmax
from xm.learning.schedule import Plan
from xm.learning.strategy import Strategy
from xm.learning.stream import Stream
from xm.learning.sweep import fit_heads
from xm.plugins.config import Config

PENALTIES = tuple(10.0**-k for k in range(1, 9))
"""The regularisers of solver=lbfgs, strong to weak, on the weights times the logit scale."""

PULLS = {"zero": 0.0, "third": 1 / 3, "init": 1.0}
"""What the penalty of solver=lbfgs pulls to, by name: this part of the initial weights."""

SIDE_BY_SIDE = 2**19
"""Weights up to which the paths of solver=lbfgs are solved at once, a thread each, which takes memory for each."""


Share: TypeAlias = Annotated[float, Field(gt=0, lt=1)]
Weight: TypeAlias = Annotated[float, Field(gt=0)]


class ProbeConfig(Config):
    """Settings of a linear probe; the defaults of solver=adamw are the published sweep (Lin et al., appendix)."""

    init: str = Field("auto", description="auto, random, zero, or a modality whose class means are the start")
    solver: Literal["lbfgs", "adamw"] = Field("lbfgs", description="full batch, or the published loop")
    scale: float = Field(100.0, gt=0, description="of the logits; CLIP's")
    share: Share | dict[str, Share] = Field(
        0.5,
        description="of the auxiliary streams in a batch or the objective; or of each by its modality",
    )
    weights: dict[str, Weight] = Field({}, description="of a modality's samples in the loss; 1 where not named")
    penalties: tuple[float, ...] = Field(PENALTIES, min_length=1, description="lbfgs: strong to weak")
    pull: Literal["val", "zero", "third", "init"] = Field(
        "val",
        description="lbfgs: what the penalty pulls to; val: mean of the best on val of these and the names alone",
    )
    default_penalty: float = Field(3e-4, gt=0, description="lbfgs: where there is no val to pick on")
    tolerance: float = Field(0.1, ge=0, description="lbfgs: gradient left of each penalty's first, where val picks")
    max_iter: int = Field(100, gt=0, description="lbfgs: iterations per penalty")
    lr: tuple[float, ...] = Field((1e-3, 1e-4), min_length=1, description="adamw: learning rates")
    weight_decay: tuple[float, ...] = Field((0.0, 0.01, 1e-4), min_length=1, description="adamw")
    batch_size: tuple[int, ...] = Field((8, 32), min_length=1, description="adamw: over all streams")
    steps: int = Field(12_800, ge=0, description="adamw")
    warmup: int = Field(50, ge=0, description="adamw: steps")
    eval_every: int = Field(100, gt=0, description="adamw: steps between looks at val")
    patience: int | None = Field(None, gt=0, description="adamw: looks without a new best before stopping")


class LinearProbe(Strategy):
    """Cross-entropy over the union of all modalities' samples (Lin et al., CVPR 2023, equations 3 and 4).

    A batch, or the full-batch objective, is half target and half auxiliary samples. With solver=lbfgs the optimum is
    unique for each penalty and what it pulls to: zero, or (a part of) the initialisation, which matters there only.
    """

    config_type: ClassVar[type[Config]] = ProbeConfig

    def init_name(self, context: Context) -> str:
        """ "auto" is the class names where they are trained on, else "random"."""
        if self.config.init != "auto":
            return str(self.config.init)
        return next((name for name in context.train if name in context.named), "random")

    def start(self, context: Context) -> Tensor:
        """The initial weights (classes, dim)."""
        name, shape = self.init_name(context), (len(context.classes), context.dim)
        if name == "zero":
            return torch.zeros(shape)
        if name == "random":
            bound = 1 / math.sqrt(context.dim)
            return torch.empty(shape).uniform_(-bound, bound, generator=context.generator)
        return class_means(self.named_stream(name, context), len(context.classes))

    def named_stream(self, name: str, context: Context) -> Stream:
        """The samples whose class means are the start, embedded."""
        if name in context.train:
            return context.towers.embedded(context.train[name].to(context.device))
        if context.texts is not None and context.texts.modality == name:
            return context.texts
        known = {*context.train, "auto", "random", "zero"}
        if context.texts is not None:
            known.add(context.texts.modality)
        raise UsageError(f"init={name!r}: no such samples here (known: {', '.join(sorted(known))})")

    def build(self, context: Context) -> nn.Module:
        return LinearClassifier(context.towers, self.start(context), self.config.scale)

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        if not isinstance(model, LinearClassifier):
            raise TypeError(f"a linear probe can't solve a {type(model).__name__}")
        solver = self._lbfgs if self.config.solver == "lbfgs" else self.sweep
        yield from solver(model, context)

    def _lbfgs(self, model: LinearClassifier, context: Context) -> Iterator[nn.Module]:
        if context.objective is not cross_entropy:
            raise UsageError("solver=lbfgs minimises cross-entropy; for another objective: --set solver=adamw")
        shares = context.shares(self.config.share)
        parts = {name: share * self.config.weights.get(name, 1.0) for name, share in shares.items()}
        train = [(stream.to(model.weight.device), parts[name]) for name, stream in context.train.items()]
        whole = sum(parts.values())
        samples = [(stream.x[EMBEDDING], stream.labels, part / whole * stream.parts) for stream, part in train]
        start = model.weight.detach() * model.scale
        few = context.val is None
        penalties = (self.config.default_penalty,) if few else self.config.penalties
        tolerance = 0.0 if few else self.config.tolerance

        def head(v: Tensor, **chosen: object) -> LinearClassifier:
            made = LinearClassifier(context.towers, v / model.scale, model.scale)
            made.chosen |= chosen
            return made

        def along(pull: str) -> list[LinearClassifier]:
            centre = start * PULLS[pull]
            found = path(samples, centre, penalties, max_iter=self.config.max_iter, tolerance=tolerance)
            return [head(v, pull=pull, penalty=penalty) for penalty, v in zip(penalties, found, strict=True)]

        pulls = self._pulls(model, context)
        paths = (spread if start.numel() <= SIDE_BY_SIDE else map)(along, pulls)
        names = [head(start, pull="names")] if pulls == tuple(PULLS) else []
        return iter([mean_of_best(chain(chain.from_iterable(paths), names), context)])

    def _pulls(self, model: LinearClassifier, context: Context) -> tuple[str, ...]:
        """What the penalty pulls to: names at two to three times the scale that the target's samples find likeliest.

        That is the most; two with few samples, three from 100 on, as val's ties are luck the more, the fewer there are.
        With no val that would tell, to the names only where the samples speak for init, and then to a third of them.
        """
        if self.config.pull != "val":
            return (self.config.pull,)
        if self.init_name(context) in ("random", "zero"):
            return ("zero",)
        known = [context.train[context.target], *([] if context.val is None else [context.val])]
        streams = [context.towers.embedded(stream.to(model.weight.device)) for stream in known]
        x, y = torch.cat([s.x[EMBEDDING] for s in streams]), torch.cat([s.labels for s in streams])
        most = (2 + min(1, len(y) / 100)) * likeliest_scale(x @ model.weight.detach().T, y)
        within = tuple(pull for pull, part in PULLS.items() if part * model.scale <= most)
        return within if context.val is not None else ("zero", "third") if "init" in within else ("zero",)

    def sweep(self, model: LinearClassifier, context: Context) -> Iterator[nn.Module]:
        """The published sweep. With no val, its first configuration."""
        weights = self.config.weights
        train = {n: stream.times(weights[n]) if n in weights else stream for n, stream in context.train.items()}
        context = replace(context, train=train)
        plans = [
            Plan(
                shares=context.shares(self.config.share),
                steps=self.config.steps,
                batch_size=batch_size,
                lr=lr,
                weight_decay=decay,
                warmup=self.config.warmup,
                eval_every=self.config.eval_every,
                patience=self.config.patience,
                precision=context.precision,
                seed=context.seed,
            )
            for lr in self.config.lr
            for decay in self.config.weight_decay
            for batch_size in self._batch_sizes(context)
        ]
        for plan, candidate, step in self._fitted(model, context, plans if context.val is not None else plans[:1]):
            candidate.chosen |= {"lr": plan.lr, "weight_decay": plan.weight_decay, "batch_size": plan.batch_size}
            candidate.chosen["step"] = step
            yield candidate

    def _fitted(
        self, model: LinearClassifier, context: Context, plans: list[Plan]
    ) -> Iterator[tuple[Plan, LinearClassifier, int]]:
        """Each plan with its model and the step that is of: all of one batch size at once where only heads differ."""
        if not self._only_heads(model, context):
            for plan in plans:
                candidate = copy.deepcopy(model)
                with threads(1):  # a batch is too small to share out
                    yield plan, candidate, context.fit(candidate, self, plan).best_step
            return
        found = fit_heads(model.weight, model.scale, context.train, plans, context.val, context.listener)
        for plan, (weight, result) in zip(plans, found, strict=True):
            yield plan, LinearClassifier(context.towers, weight, model.scale), result.best_step

    def _only_heads(self, model: nn.Module, context: Context) -> bool:
        """Whether training is of linear heads on fixed embeddings, by cross-entropy and plain accuracy."""
        hooks = ("loss", "backward", "stepped")
        own = all(getattr(type(self), name) is getattr(Strategy, name) for name in hooks) and not self.groups(model)
        streams = [*context.train.values(), *([] if context.val is None else [context.val])]
        fixed = all(EMBEDDING in stream.x and stream.y is not None for stream in streams)
        plain = context.objective is cross_entropy and type(context.predictor) is Argmax
        return own and fixed and plain and context.precision == "float32" and context.seen is None

    def _batch_sizes(self, context: Context) -> list[int]:
        """Published: those whose half is smaller than its pool. If none is, the smallest is kept."""
        shares = context.shares(self.config.share)
        sizes: tuple[int, ...] = self.config.batch_size
        fitting = [
            size
            for size in sizes
            if all(int(size * shares[name]) < len(stream) for name, stream in context.train.items())
        ]
        return fitting or [min(sizes)]
