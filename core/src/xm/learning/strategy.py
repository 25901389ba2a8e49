"""Strategies: how a classifier is made from few samples of several modalities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xm.foundation.errors import UsageError
from xm.learning.context import Context as Context, adapt as adapt
from xm.learning.loop import add_up
from xm.learning.model import LinearClassifier, Towers, load_towers
from xm.learning.objectives import Objective, cross_entropy
from xm.learning.schedule import ParameterGroup, Plan
from xm.learning.start import tail_tensors
from xm.learning.stream import Batch, Reading, Stream
from xm.plugins.config import Config, Configurable
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.sound import sound_loss
from xm.plugins.specs import StrategySpec


class Strategy(Configurable):
    """How to adapt. A subclass overrides what differs; `build` at least.

    The order is: `build` a model, `solve` for candidates, of which the best on val is picked, then `finish` it.
    """

    needs_val: bool = False
    """Whether the strategy makes no sense without val."""

    uses_runs: bool = False
    """Whether it reads `Context.runs` itself, so that a start of which no tower is of use makes sense."""

    predictor: str = ""
    """The decision rule that its models want, unless the user names one; "" is argmax."""

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

    def readings(self, target: str, aux: Sequence[str]) -> Mapping[str, Reading]:
        """What else of the target's items is to be read, by a name each: they are in the streams' `also`."""
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
        kept = {n: value for n, value in tensors.items() if n not in ("weight", "scale") and "." not in n}
        return LinearClassifier(towers, tensors["weight"], tensors["scale"], trainable=False).keeping(**kept)

    def tuned(self, towers: Towers, tensors: Mapping[str, Tensor]) -> Mapping[str, Mapping[str, Tensor]]:
        """What training changed of the encoders, which another training can start from; arguments as of `restore`.

        By modality, named as in the state of a new tower's tail. A strategy that puts layers of its own into towers
        merges them here. By default the towers' own tensors.
        """
        return tail_tensors(towers, tensors)

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Named terms; by default the objective over the union of all labelled streams of the batch."""
        labelled = [stream for stream in batch.values() if stream.y is not None]
        logits = torch.cat([model(stream) for stream in labelled])
        labels = torch.cat([stream.y for stream in labelled if stream.y is not None])
        return {"loss": sound_loss(self.objective, self.objective(logits, labels, _weights(labelled)))}

    def backward(self, model: nn.Module, losses: Mapping[str, Tensor]) -> None:
        """Write the gradients; by default those of the sum."""
        add_up(model, losses)

    def stepped(self, model: nn.Module, step: int) -> None:
        """After a step of the optimiser, counted from 0: for moving averages, in buffers of the model.

        What is remembered belongs into the model, not into the strategy: buffers are scored, kept at their best and
        restored with the parameters. No gradients are recorded here.
        """

    def groups(self, model: nn.Module) -> Sequence[ParameterGroup] | None:
        """Parameters with a learning rate or weight decay of their own; by default all have the plan's."""
        return None

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

    def reclass(self, model: nn.Module, context: Context) -> nn.Module:
        """A fitted model with new classes taken in, by their names; by default it can't. A strategy that can says so by
        `reclasses` in its spec.

        Args:
            model: fitted and restored; its classes are the first of the context's, in their order.
            context: of all classes, with `names` and `read`, and the model's towers; there are no samples in it.

        Raises:
            UsageError: if the strategy can't, with these settings or a run of before; it says what to do.
        """
        raise UsageError(f"{type(self).__name__} can't take new classes into a fitted model: train with all of them")

    def init_name(self, context: Context) -> str:
        """The initialisation, by name, for the record: "random", "zero", a modality, or "none"."""
        return "none"


class WrappingConfig(Config):
    """Settings of a strategy around another."""

    inner: str = Field("linear", description="the strategy inside")
    inner_set: dict[str, Any] = Field({}, description="its own settings")


class Wrapping(Strategy):
    """A strategy around another one, `inner`, which makes its models: on more samples, or with other labels.

    A subclass writes `build`, which returns a model of `Context.adapt`, and has `WrappingConfig` among its settings.

    Attributes:
        inner: the strategy inside; `make_strategy` puts it there.
    """

    config_type: ClassVar[type[Config]] = WrappingConfig
    inner: Strategy

    def hold(self, inner: Strategy) -> None:
        """Take the strategy inside; its rule and its need of val are this one's, unless it has its own."""
        self.inner = inner
        self.needs_val = self.needs_val or inner.needs_val
        self.uses_runs = self.uses_runs or inner.uses_runs
        self.predictor = self.predictor or inner.predictor

    def depths(self, target: str, aux: Sequence[str], namer: str | None) -> Mapping[str, int]:
        return self.inner.depths(target, aux, namer)

    def readings(self, target: str, aux: Sequence[str]) -> Mapping[str, Reading]:
        return self.inner.readings(target, aux)

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        return self.inner.restore(towers, tensors)

    def tuned(self, towers: Towers, tensors: Mapping[str, Tensor]) -> Mapping[str, Mapping[str, Tensor]]:
        return self.inner.tuned(towers, tensors)

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        yield model

    def reclass(self, model: nn.Module, context: Context) -> nn.Module:
        return self.inner.reclass(model, context)

    def init_name(self, context: Context) -> str:
        return self.inner.init_name(context)


def make_strategy(strategy: str | StrategySpec, settings: Mapping[str, Any] | None, plugins: PluginManager) -> Strategy:
    """A new strategy by its name or spec, with the one inside it, if there is one.

    Raises:
        UsageError: if a name is unknown, a setting is wrong, or it is inside itself.
    """
    spec = plugins.strategies.find(strategy) if isinstance(strategy, str) else strategy
    made: Strategy = spec.make(Strategy, settings)
    if isinstance(made, Wrapping):
        if made.config.inner == spec.name:
            raise UsageError(f"strategy {spec.name!r} can't be inside itself: choose another with --set inner=NAME")
        made.hold(make_strategy(made.config.inner, made.config.inner_set, plugins))
    return made


def _weights(streams: list[Stream]) -> Tensor | None:
    if all(stream.weight is None for stream in streams):
        return None
    return torch.cat([stream.counts for stream in streams if stream.y is not None])
