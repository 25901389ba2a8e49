"""LP++."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xm import Context, Strategy, UsageError
from xm.learning import CLIP_SCALE, EMBEDDING, LinearClassifier, class_means, clearly_best, cross_entropy, mean_of_best
from xm.plugins import Config
from xm_probes.lp_plus_plus.descent import Problem, descend


class LPPlusPlusConfig(Config):
    """Settings of LP++; but for betas and share they are the published ones."""

    betas: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (250.0, 50.0, 10.0),
        min_length=1,
        description="the multipliers start at beta times the mean cosine of samples and their class names; the best on "
        "val is taken, without val the first; published: 250 alone",
    )
    iterations: int = Field(300, gt=0, description="full passes; the best on val is kept, without val the last")
    alpha_every: int = Field(10, gt=0, description="iterations between two steps of the multipliers")
    momentum: float = Field(0.9, ge=0, lt=1, description="of the prototypes; 0 is plain majorise-minimise")
    eval_every: int = Field(1, gt=0, description="iterations between looks at val")
    share: float = Field(0.5, gt=0, lt=1, description="of the auxiliary streams in the objective")


class LPPlusPlus(Strategy):
    """Logits ``x (w_k + alpha_k t_k)``: visual prototypes w, text multipliers alpha (Huang et al., CVPR 2024).

    t_k is the zero-shot classifier. Cross-entropy over the union of all modalities' samples is minimised by descent
    in two blocks, whose step sizes follow from the data. The fitted model is a linear classifier.
    """

    config_type: ClassVar[type[Config]] = LPPlusPlusConfig

    def init_name(self, context: Context) -> str:
        """The modalities of the class sums, and that of the names.

        Raises:
            UsageError: if no encoder reads names.
        """
        return "+".join(dict.fromkeys((*context.train, context.names.modality)))

    def build(self, context: Context) -> nn.Module:
        """The zero-shot classifier, whose rows the multipliers blend in."""
        rows = class_means(context.names, len(context.classes))
        return LinearClassifier(context.towers, rows, 1.0, trainable=False)

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        """The mean of the iterates of all betas that are best on val, if clearly better there than the names alone.

        Without val the last iterate of the first beta.
        """
        if not isinstance(model, LinearClassifier):
            raise TypeError(f"lp++ can't blend with a {type(model).__name__}")
        if context.objective is not cross_entropy:
            raise UsageError("lp++ minimises cross-entropy; for another objective: --strategy linear")
        names = model.weight.detach()
        zero_shot = LinearClassifier(context.towers, CLIP_SCALE * names, 1.0, trainable=False)
        zero_shot.chosen["kept"] = "names alone"
        fitted = mean_of_best(self._iterates(names, context), context)
        iterations = fitted.chosen["iteration"]
        if isinstance(iterations, list):
            fitted.chosen["iteration"] = {"first": min(iterations), "last": max(iterations), "values": len(iterations)}
        yield fitted if context.val is None else clearly_best([zero_shot, fitted], context)

    def _iterates(self, names: Tensor, context: Context) -> Iterator[LinearClassifier]:
        """Every `eval_every`-th iterate and the last of each beta."""
        problem, cosine = self._problem(context, names), self._cosine(context, names)
        last: int = self.config.iterations
        betas, every = self.config.betas, self.config.eval_every
        if context.val is None:
            betas, every = betas[:1], last
        for beta in betas:
            path = descend(
                problem,
                beta * cosine,
                iterations=last,
                alpha_every=self.config.alpha_every,
                momentum=self.config.momentum,
            )
            for iteration, (w, alpha) in enumerate(path, start=1):
                if iteration % every and iteration != last:
                    continue
                weight = w + alpha[:, None] * problem.names
                candidate = LinearClassifier(context.towers, weight, 1.0, trainable=False)
                candidate.chosen |= {"beta": beta, "iteration": iteration}
                yield candidate

    def _problem(self, context: Context, names: Tensor) -> Problem:
        shares = context.shares(self.config.share)
        streams = {name: stream.to(context.device) for name, stream in context.train.items()}
        return Problem(
            x=torch.cat([stream.x[EMBEDDING] for stream in streams.values()]).to(names),
            y=torch.cat([stream.labels for stream in streams.values()]),
            weights=torch.cat([shares[name] * stream.parts for name, stream in streams.items()]).to(names),
            names=names,
            size=sum(float(stream.counts.sum()) for stream in streams.values()),
        )

    def _cosine(self, context: Context, names: Tensor) -> float:
        """The mean, over the target's samples, of the cosine between a sample and its class's names."""
        stream = context.train[context.target].to(context.device)
        return float((stream.x[EMBEDDING] * names[stream.labels]).sum(dim=1) @ stream.parts)
