"""What a strategy may see, and how a model comes of the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from xm.foundation.errors import UsageError, no_names, no_semantics
from xm.foundation.events import Listener, silent
from xm.learning.loop import FitResult, fit
from xm.learning.model import Towers
from xm.learning.objectives import Objective, cross_entropy
from xm.learning.predictor import Argmax, Predictor, among, decide, decisions
from xm.learning.sampler import AUXILIARY, shares_of
from xm.learning.schedule import Plan
from xm.learning.start import Start
from xm.learning.stream import Prototypes, Reader, Reading, Stream
from xm.plugins.sound import Sound, sound_plan, sound_rows

if TYPE_CHECKING:
    from xm.learning.strategy import Strategy

CPU = torch.device("cpu")

Known: TypeAlias = Stream | Tensor | tuple[tuple[str, str, str], ...]
"""What is known of classes: texts, a matrix (classes, attributes), or triples of class, relation and concept."""


def _nothing(name: str) -> Known:
    raise no_semantics(name)


def no_strategy(name: str, settings: Mapping[str, Any] | None) -> Strategy:
    """What makes strategies in a context that knows of none."""
    raise UsageError(f"there are no strategies here to take {name!r} from")


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
        read_semantics: makes what `semantics` returns.
        seed: of whatever the strategy draws.
        objective: the loss.
        predictor: the decision rule.
        precision: of forward passes in the loop.
        listener: hears the loop's events.
        unlabelled: streams by modality, their `y` None; empty unless they were asked for (``--unlabelled``).
        namer: the modality whose encoder reads class names; None if none does.
        depths: at which encoders are opened, by modality; the others are at 0.
        read_prototypes: makes `prototypes`.
        make: a registered strategy by its name and settings.
        runs: earlier runs that the user wants to start from (``--start``). `towers` began from them already, each from
            the first whose encoder and depth are the same.
        readings: what else was read of the target's items, by the names in the streams' `also`.
        make_reader: what is known of an encoder, by its reference.
        seen: (k,) labels, ascending, of the classes that `train` and `val` have target samples of, where they are not
            all: of the others there may be names and auxiliary samples. Val is decided among them.
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
    read_semantics: Callable[[str], Known] = _nothing
    seed: int = 1
    objective: Objective = cross_entropy
    predictor: Predictor = field(default_factory=Argmax)
    precision: str = "float32"
    listener: Listener = silent
    unlabelled: Mapping[str, Stream] = field(default_factory=dict)
    namer: str | None = None
    depths: Mapping[str, int] = field(default_factory=dict)
    read_prototypes: Callable[[], Mapping[str, Prototypes]] = dict
    make: Callable[[str, Mapping[str, Any] | None], Strategy] = no_strategy
    runs: Sequence[Start] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)
    make_reader: Callable[[str], Reader] | None = None
    seen: Tensor | None = None
    record: dict[str, object] = field(default_factory=dict)

    @cached_property
    def prototypes(self) -> Mapping[str, Prototypes]:
        """The classifiers that encoders were trained with, by modality: rows of unit length (classes, dim) at home.

        Of the target and the auxiliary modalities; one whose way home reads more than a vector has none.
        """
        return self.read_prototypes()

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

    def semantics(self, name: str) -> Known:
        """What is known of the classes by that name: from the data, or ``--semantics NAME=FILE``.

        Returns:
            Of texts ("descriptions") a stream in the home space, `y` the class, any number a class, none too; of a
            matrix a tensor (classes, attributes) on `device`; of triples these.

        Raises:
            UsageError: if there is nothing of that name; it lists what there is.
        """
        return self.read_semantics(name)

    def reader(self, name: str) -> Reader:
        """What is known of the encoder of a reading.

        Raises:
            ValueError: if there is no reading of that name by another encoder.
        """
        reference = self.readings[name].encoder if name in self.readings else None
        if reference is None or self.make_reader is None:
            raise ValueError(f"there is no reading {name!r} by another encoder")
        return self.make_reader(reference)

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
            sound_plan(strategy, plan, Plan),
            backward=strategy.backward,
            stepped=strategy.stepped,
            groups=strategy.groups(model),
            objective=strategy.objective,
            score=None if self.val is None else lambda: self.accuracy(model),
            on_event=self.listener,
        )

    def adapt(self, strategy: str | Strategy, settings: Mapping[str, Any] | None = None, **changes: Any) -> nn.Module:
        """The model of another strategy on this context: one that learns from more samples, or with other labels.

        What it records is in this context's `record`, under "inner".

        Args:
            strategy: itself, or the name of a registered one, made with `settings`.
            settings: its own, by name.
            **changes: attributes of this context that are others for it: ``train``, ``val``.

        Raises:
            UsageError: if it opens encoders at other depths than this context has, or needs other readings.
        """
        inner = self.make(strategy, settings) if isinstance(strategy, str) else strategy
        aux = tuple(name for name in self.train if name != self.target)
        wanted = {m: depth for m, depth in inner.depths(self.target, aux, self.namer).items() if depth}
        if wanted != {m: depth for m, depth in self.depths.items() if depth}:
            raise UsageError(
                f"{type(inner).__name__} opens encoders at depths {wanted or 'of none'}, and here they are at "
                f"{dict(self.depths) or 'none'}: it can't be used inside this strategy"
            )
        if lacking := [n for n in inner.readings(self.target, aux) if n not in self.readings]:
            raise UsageError(f"{type(inner).__name__} needs the reading {lacking[0]!r}, which is not made here")
        context = replace(self, record={}, **changes)
        model = adapt(inner, context)
        if context.record:
            self.record["inner"] = context.record
        return model

    def accuracy(self, model: nn.Module) -> float:
        """Accuracy on val, 0..1."""
        return self.evaluate(model)[0]

    def evaluate(self, model: nn.Module) -> tuple[float, float]:
        """Accuracy and minus the mean negative log-likelihood on val: higher is better, in this order.

        Raises:
            ValueError: if there is no val.
        """
        right, likelihood = self.judged(model)
        return float(right.mean()), float(likelihood.mean())

    def judged(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """Of each item of val whether the decision is right, 1 or 0, and its label's log-likelihood: (n,) each.

        Raises:
            ValueError: if there is no val.
        """
        if self.val is None or self.val.y is None:
            raise ValueError("there is no labelled val")
        model.eval()
        found = decide(self.predictor, model, self.val, self.device)
        probabilities = sound_rows(self.predictor, found, len(self.val), int(self.val.y.max()) + 1)
        if self.seen is not None:
            probabilities = among(probabilities, self.seen.to(probabilities.device))
        y = self.val.y.to(self.device)
        right = (decisions(self.predictor, probabilities) == y).float()
        return right, probabilities.gather(1, y[:, None])[:, 0].clamp_min(1e-12).log()


def adapt(strategy: Strategy, context: Context) -> nn.Module:
    """Build, solve, pick on val, record what was chosen, and finish.

    Of equal candidates the first is kept; with no val, the first of all.

    Raises:
        PluginError: if the strategy gives no model, or one that gives no logits.
    """
    strategy.objective = context.objective
    best: nn.Module | None = None
    score = (-1.0, 0.0)
    with Sound(strategy, len(context.classes)) as sound:
        model = sound.model("build", strategy.build(context)).to(context.device)
        for candidate in sound.candidates(strategy.solve(model, context)):
            if context.val is None:
                best = candidate
                break
            value = context.evaluate(candidate)
            if best is None or value > score:
                best, score = candidate, value
        assert best is not None
        context.record |= getattr(best, "chosen", {})
        made: nn.Module = sound.model("finish", strategy.finish(best, context))
    return made.eval()
