"""Strategies: how a classifier is made from few samples of several modalities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from xm.foundation.errors import no_names
from xm.foundation.events import Listener, silent
from xm.learning.loop import FitResult, Plan, add_up, fit
from xm.learning.model import LinearClassifier, Towers, load_towers
from xm.learning.objectives import Objective, cross_entropy
from xm.learning.predictor import Argmax, Predictor, decide
from xm.learning.sampler import AUXILIARY, shares_of
from xm.learning.stream import Batch, Stream
from xm.plugins.config import Configurable

CPU = torch.device("cpu")


@dataclass
class Context:
    """All that a strategy may see. There is no test split in it.

    Attributes:
        classes: in words.
        target: the modality to be classified.
        dim: of the home space.
        train: streams by modality, the target first; it is missing at 0 shots. A modality that the strategy opened
            (`Strategy.depths`) has its trunk's outputs, the others have their ``embedding``.
        val: of the target modality; None if there are no labels to spare.
        named: the modalities among `train` whose samples include the class names.
        towers: by modality, into the home space; of an opened modality a copy of its own, to be trained.
        device: where models compute.
        read_names: makes `texts`.
        read_texts: makes what `read` returns.
        seed: of whatever the strategy draws.
        objective: the loss.
        predictor: the decision rule.
        precision: of forward passes in the loop.
        listener: hears the loop's events.
        record: what the strategy wants to be kept in the run (chosen settings, searched ranges); plain values.
    """

    classes: tuple[str, ...]
    target: str
    dim: int
    train: Mapping[str, Stream]
    val: Stream | None
    named: frozenset[str]
    towers: Towers
    device: torch.device = CPU
    read_names: Callable[[], Stream | None] = lambda: None
    read_texts: Callable[[Sequence[str]], Stream] | None = None
    seed: int = 1
    objective: Objective = cross_entropy
    predictor: Predictor = field(default_factory=Argmax)
    precision: str = "float32"
    listener: Listener = silent
    record: dict[str, object] = field(default_factory=dict)

    @cached_property
    def texts(self) -> Stream | None:
        """The class names through the templates, in the home space; None if no encoder reads names."""
        return self.read_names()

    @property
    def names(self) -> Stream:
        """`texts`, for a strategy that can't do without class names.

        Raises:
            UsageError: if no encoder reads names.
        """
        if self.texts is None:
            raise no_names()
        return self.texts

    def read(self, texts: Sequence[str]) -> Stream:
        """Any texts, read by the encoder that reads class names, at the depth at which the strategy opened it.

        Its tower is ``towers[stream.modality]`` if it was opened, or is among `train`.

        Raises:
            UsageError: if no encoder reads names.
        """
        if self.read_texts is None:
            raise no_names()
        return self.read_texts(texts)

    @property
    def generator(self) -> torch.Generator:
        """A generator seeded for this fit, new at each call."""
        return torch.Generator().manual_seed(self.seed)

    def shares(self, auxiliary: float | Mapping[str, float] = AUXILIARY) -> dict[str, float]:
        """The part of each stream in a batch: by default half target, half auxiliary."""
        return shares_of(self.train, self.target, auxiliary)

    def fit(self, model: nn.Module, strategy: Strategy, plan: Plan) -> FitResult:
        """`xm.fit` on the training streams, scored by accuracy on val."""
        return fit(
            model,
            strategy.loss,
            self.train,
            plan,
            backward=strategy.backward,
            score=None if self.val is None else lambda: self.accuracy(model),
            on_event=self.listener,
        )

    def accuracy(self, model: nn.Module) -> float:
        """Accuracy on val, 0..1."""
        return self.evaluate(model)[0]

    def evaluate(self, model: nn.Module) -> tuple[float, float]:
        """Accuracy and minus the mean negative log-likelihood on val: higher is better, in this order.

        Raises:
            ValueError: if there is no val.
        """
        if self.val is None or self.val.y is None:
            raise ValueError("there is no labelled val")
        model.eval()
        probabilities = decide(self.predictor, model, self.val, self.device)
        y = self.val.y.to(self.device)
        hit = (probabilities.argmax(dim=1) == y).float().mean()
        likelihood = probabilities.gather(1, y[:, None]).clamp_min(1e-12).log().mean()
        return float(hit), float(likelihood)


class Strategy(Configurable):
    """How to adapt. A subclass overrides what differs; `build` at least.

    The order is: `build` a model, `solve` for candidates, of which the best on val is picked, then `finish` it.
    """

    needs_val = False
    """Whether the strategy makes no sense without val."""

    def __init__(self, config: Mapping[str, object] | None = None) -> None:
        super().__init__(config)
        self.objective: Objective = cross_entropy

    def depths(self, target: str, aux: Sequence[str], namer: str | None) -> Mapping[str, int]:
        """Which encoders are opened, and how deep (`xm.Encoder.split`); the others are frozen, depth 0.

        Args:
            target: the modality to be classified.
            aux: the auxiliary modalities.
            namer: of the encoder that reads class names; None if there is none.
        """
        return {}

    def build(self, context: Context) -> nn.Module:
        """The model to be trained: called with a `Stream`, it returns logits (n, classes)."""
        raise NotImplementedError(f"{type(self).__name__} does not build a model")

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The fitted model again, from `xm.learning.own_tensors` and the towers, without data.

        The towers are those of the modality to be predicted and of every opened one, as new. By default the model is
        a `LinearClassifier`, which is what most strategies end with.
        """
        load_towers(towers, tensors)
        return LinearClassifier(towers, tensors["weight"], tensors["scale"], trainable=False)

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Named terms; by default the objective over the union of all labelled streams of the batch."""
        labelled = [stream for stream in batch.values() if stream.y is not None]
        logits = torch.cat([model(stream) for stream in labelled])
        labels = torch.cat([stream.y for stream in labelled if stream.y is not None])
        return {"loss": self.objective(logits, labels, _weights(labelled))}

    def backward(self, model: nn.Module, losses: Mapping[str, Tensor]) -> None:
        """Write the gradients; by default those of the sum."""
        add_up(model, losses)

    def plan(self, context: Context) -> Plan:
        """The schedule of the default `solve`."""
        return Plan(shares=context.shares(), seed=context.seed, precision=context.precision)

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        """Candidates, an object each, the one to take without val first. By default the model, fitted by the loop."""
        context.fit(model, self, self.plan(context))
        yield model

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        """Last changes to the picked model; by default none."""
        return model

    def init_name(self, context: Context) -> str:
        """The initialisation, by name, for the record: "random", "zero", a modality, or "none"."""
        return "none"


def adapt(strategy: Strategy, context: Context) -> nn.Module:
    """Build, solve, pick on val, record what was chosen, and finish.

    Of equal candidates the first is kept; with no val, the first of all.
    """
    strategy.objective = context.objective
    best: nn.Module | None = None
    score = (-1.0, 0.0)
    for candidate in strategy.solve(strategy.build(context).to(context.device), context):
        if context.val is None:
            best = candidate
            break
        value = context.evaluate(candidate)
        if best is None or value > score:
            best, score = candidate, value
    if best is None:
        raise ValueError(f"{type(strategy).__name__}.solve yielded no candidate")
    context.record |= getattr(best, "chosen", {})
    return strategy.finish(best, context).eval()


def _weights(streams: list[Stream]) -> Tensor | None:
    if all(stream.weight is None for stream in streams):
        return None
    return torch.cat(
        [
            stream.weight if stream.weight is not None else torch.ones_like(stream.y, dtype=torch.float32)
            for stream in streams
            if stream.y is not None
        ]
    )
