"""How an encoder computes fastest on this machine, and near enough to float32: measured, not guessed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from xm.encoders.encoder import Encoder, Preparing, compute, prepare
from xm.encoders.faults import refusal
from xm.foundation.device import PRECISIONS, autocast

NEAR = 0.999
"""Least cosine between an item's embedding and its float32 one."""

GAIN = 1.1
"""How much faster a way must be than the one before to be taken."""

ROUNDS = 2
"""Timed runs of each, of which the fastest counts."""

WORTH = 600.0
"""Seconds that embedding would take, from which on it is worth a minute to see what compiling gains."""

SPENT = 0.1
"""Of that time, after which no other way is compiled."""


@dataclass(frozen=True)
class Way:
    """A way to compute.

    Attributes:
        precision: by autocast; below float32 the networks' weights are kept in it too, so they are not cast each time.
        channels_last: whether the weights of convolutions lie so in memory.
        compiled: whether the networks go through torch.compile; batches of other sizes than the first do not.
    """

    precision: str = "float32"
    channels_last: bool = False
    compiled: bool = False

    def __str__(self) -> str:
        more = (("channels last", self.channels_last), ("compiled", self.compiled))
        return " ".join([self.precision, *(word for word, is_so in more if is_so)])

    @contextmanager
    def of(self, encoder: Encoder) -> Iterator[None]:
        """Within, the encoder's networks compute this way, beside `autocast` to its precision; afterwards as before."""
        networks = encoder.networks()
        weights = [(weight, weight.data) for network in networks for weight in network.parameters() if weight.ndim > 1]
        try:
            for weight, data in weights:
                weight.data = self._laid_out(data)
            if self.compiled:
                for network in networks:
                    vars(network)["forward"] = _Compiled(network.forward)
            yield
        finally:
            for weight, data in weights:
                weight.data = data
            if self.compiled:
                for network in networks:
                    vars(network).pop("forward", None)

    def _laid_out(self, data: Tensor) -> Tensor:
        dtype = PRECISIONS[self.precision]
        if dtype is not None and data.is_floating_point():
            data = data.to(dtype)
        if self.channels_last and data.ndim == 4:
            data = data.contiguous(memory_format=torch.channels_last)
        return data


class _Compiled:
    """A network's forward pass, compiled for the shapes of its first call; others take the plain one."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward = torch.compile(forward, dynamic=False)
        self.stance: Literal["default", "eager_on_recompile"] = "default"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with torch.compiler.set_stance(self.stance):
            found = self.forward(*args, **kwargs)
        self.stance = "eager_on_recompile"
        return found


EXACT = Way()


@dataclass(frozen=True)
class Choice:
    """What was measured.

    Attributes:
        way: the one to take.
        seconds: a batch, by way.
        cosine: the least, by way.
        refused: ways that the encoder can't go, and why.
    """

    way: Way = EXACT
    seconds: dict[Way, float] = field(default_factory=dict)
    cosine: dict[Way, float] = field(default_factory=dict)
    refused: dict[Way, str] = field(default_factory=dict)

    def __str__(self) -> str:
        told = [f"{way} {self.seconds[way]:.3f} s, cosine {self.cosine[way]:.5f}" for way in self.seconds]
        told += [f"{way} not: {reason}" for way, reason in self.refused.items()]
        return f"{self.way} ({'; '.join(told)})"


def measured(encoder: Encoder, items: Sequence[Any]) -> Choice:
    """The fastest way for an encoder here, on its first batch of items, one step after the other.

    The precision is chosen first, then how weights lie, then, if embedding all items would take `WORTH`, whether the
    networks are compiled, which turns some of the former round, so it is tried with them and without. Items that
    can't be read are passed over; with none left, it is float32.
    """
    batch = _prepared(encoder, items[: encoder.batch_size]) if items else []
    if not batch:
        return Choice()
    networks = encoder.networks()
    choice = _faster(Choice(), encoder, batch, [EXACT, Way("bfloat16")])
    if any(weight.ndim == 4 for network in networks for weight in network.parameters()):
        choice = _faster(choice, encoder, batch, [replace(choice.way, channels_last=True)])
    left = choice.seconds[choice.way] * len(items) / len(batch)
    if networks and not (isinstance(encoder, Preparing) and encoder.sized) and left >= WORTH:
        plain, started = replace(choice.way, channels_last=False), time.perf_counter()
        for way in dict.fromkeys((EXACT, plain, choice.way)):
            if time.perf_counter() - started < SPENT * left:
                choice = _faster(choice, encoder, batch, [replace(way, compiled=True)])
    return choice


def _faster(choice: Choice, encoder: Encoder, batch: Sequence[Any], ways: Sequence[Way]) -> Choice:
    """The choice after more ways were measured."""
    seconds, cosine, refused = dict(choice.seconds), dict(choice.cosine), dict(choice.refused)
    exact = _features(encoder, batch, EXACT)
    for way in ways:
        try:
            with way.of(encoder):
                found = _features(encoder, batch, way)  # the first time compiles
                times = [_seconds(encoder, batch, way) for _ in range(ROUNDS)]
        except RuntimeError as error:  # of layers that lack it, or a compiler that is missing
            refused[way] = (str(error).strip().splitlines() or [type(error).__name__])[0]
            continue
        seconds[way], cosine[way] = min(times), float(cosine_similarity(exact, found).min())
    best = choice.way
    for way in ways:
        if way in seconds and cosine[way] >= NEAR and seconds[way] * GAIN <= seconds[best]:
            best = way
    return Choice(best, seconds, cosine, refused)


def _prepared(encoder: Encoder, items: Sequence[Any]) -> list[Any]:
    """Those that can be read, ready for `compute`."""
    found = []
    for item in items:
        try:
            found.append(prepare(encoder, item))
        except Exception as error:  # an encoder may raise anything
            refusal(item, error)  # raises what is not of the item
    return found if _computes(encoder, found) else [one for one in found if _computes(encoder, [one])]


def _computes(encoder: Encoder, batch: Sequence[Any]) -> bool:
    """Whether nothing is refused only now."""
    try:
        _features(encoder, batch, EXACT)
    except Exception as error:  # an encoder may raise anything
        refusal(batch[0], error)
        return False
    return True


def _seconds(encoder: Encoder, batch: Sequence[Any], way: Way) -> float:
    started = time.perf_counter()
    _features(encoder, batch, way)
    return time.perf_counter() - started


def _features(encoder: Encoder, batch: Sequence[Any], way: Way) -> Tensor:
    """(n, dim) on the CPU: until then, other devices may not have done their work."""
    with torch.inference_mode(), autocast(encoder.device, way.precision):
        return compute(encoder, batch)["features"].float().cpu()
