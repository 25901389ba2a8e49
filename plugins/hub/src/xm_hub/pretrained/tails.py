"""Tails of towers: copies of models of transformers that begin in the middle, by stand-ins and hooks (`splits`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm.learning import Inputs
from xm_hub.pretrained.runs import Run

TOKENS = "tokens"
IDS, MASK = "input_ids", "attention_mask"
NAMES = {IDS: "ids", MASK: "mask"}
"""What strategies call the inputs of texts."""


class Passing:
    """What is handed to stand-ins and hooks while a tail runs.

    Attributes:
        tokens: what the block at the cut is given, or the token embeddings of texts; None: what the model computes.
        n: rows.
        more: tokens of a text beyond those of the sample that forms are of.
    """

    def __init__(self) -> None:
        self.tokens: Tensor | None = None
        self.n = 0
        self.more = 0


class Given:
    """A hook before the block at the cut: it is given what was kept."""

    def __init__(self, passing: Passing) -> None:
        self.passing = passing

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.passing.tokens is None:
            return args, kwargs
        if args:
            return (self.passing.tokens, *args[1:]), kwargs
        return args, {**kwargs, hidden_name(kwargs): self.passing.tokens}


class Words:
    """A hook behind the embedding of tokens: it gives others instead."""

    def __init__(self, passing: Passing) -> None:
        self.passing = passing

    def __call__(self, module: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
        return out if self.passing.tokens is None else self.passing.tokens


class StandIn(nn.Module):
    """A module's outputs as zeros, in their form; what the model looks up of the module itself is still there."""

    def __init__(self, module: nn.Module, form: Any, passing: Passing) -> None:
        super().__init__()
        for parameter in list(module.parameters()):
            parameter.data = parameter.data.new_empty(0)
        self.__dict__["kept"] = (module.requires_grad_(False),)
        self.form, self.passing = form, passing

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["kept"][0], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return zeros_of(self.form, self.passing)


class Form:
    """Of a tensor: its shape for one row, which of its axes grow with the number of rows, and which with the length.

    Args:
        one: of one row.
        two: of two rows.
        shorter: of one row with a token less; None of what has one length.
    """

    def __init__(self, one: Tensor, two: Tensor, shorter: Tensor | None) -> None:
        self.shape, self.dtype = tuple(one.shape), one.dtype
        self.grows = tuple(b == 2 * a for a, b in zip(one.shape, two.shape, strict=True))
        less = one.shape if shorter is None else shorter.shape
        self.steps = tuple(a - b for a, b in zip(one.shape, less, strict=True))

    def sizes(self, n: int, more: int) -> list[int]:
        """For `n` rows with so many tokens more."""
        axes = zip(self.shape, self.grows, self.steps, strict=True)
        return [(size + step * more) * (n if grows else 1) for size, grows, step in axes]


class Copy(nn.Module):
    """A tower of a tail's own; it never drops or masks anything at random, in training neither."""

    tower: nn.Module

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.tower.eval()
        return self


class Tail(Copy):
    """The last blocks of a tower and what follows them; reads ``tokens`` and what else decides, such as a mask.

    Args:
        shape: of the main input of the sample.
        crops: whether columns in which no text has a token are left out.
    """

    def __init__(
        self, tower: nn.Module, run: Run, main: str, shape: tuple[int, ...], passing: Passing, crops: bool
    ) -> None:
        super().__init__()
        self.tower, self.run, self.main, self.shape, self.passing = tower, run, main, shape, passing
        self.crops = crops

    def forward(self, x: Inputs) -> Tensor:
        x = cropped(x) if self.crops else x
        tokens = x[TOKENS]
        inputs = {name: x[ours] for name, ours in _ours(x).items()}
        if self.main not in inputs:
            inputs[self.main] = tokens.new_zeros(()).expand(len(tokens), *self.shape)
        self.passing.n = len(tokens)
        if self.main == IDS:
            self.passing.tokens, self.passing.more = tokens, tokens.shape[1] - self.shape[0]
        else:
            self.passing.tokens = tokens.flatten(0, 1)
        try:
            return normalize(self.run(self.tower, inputs), dim=-1)
        finally:
            self.passing.tokens = None


class Whole(Copy):
    """A whole tower as a tail; reads the model's inputs, of texts ``ids`` and ``mask`` (n, length).

    Args:
        crops: as of `Tail`.
    """

    def __init__(self, tower: nn.Module, run: Run, passing: Passing, crops: bool) -> None:
        super().__init__()
        self.tower, self.run, self.passing, self.crops = tower, run, passing, crops

    def forward(self, x: Inputs) -> Tensor:
        x = cropped(x) if self.crops else x
        self.passing.tokens = x.get(TOKENS)
        try:
            return normalize(self.run(self.tower, {name: x[ours] for name, ours in _ours(x).items()}), dim=-1)
        finally:
            self.passing.tokens = None


class Prompted(Whole):
    """A whole text tower that takes token embeddings too: `xm.encoders.Promptable`.

    They are of the columns up to the last in which a text has a token, so that they stand where ``ids`` do.
    """

    def __init__(self, tower: nn.Module, run: Run, passing: Passing, crops: bool, embedding: str) -> None:
        super().__init__(tower, run, passing, crops)
        self.embedding = embedding

    def embed(self, x: Inputs) -> Tensor:
        ids = x["ids"][:, : columns(x.get("mask")).stop] if self.crops else x["ids"]
        embedded: Tensor = self.tower.get_submodule(self.embedding)(ids)
        return embedded

    def forward(self, x: Inputs) -> Tensor:
        if TOKENS in x:
            x = {name: value[:, : x[TOKENS].shape[1]] for name, value in x.items()}
        return super().forward(x)


def columns(mask: Tensor | None) -> slice:
    """From the first to the last in which a text has a token, by a mask (n, length); all without one."""
    if mask is None:
        return slice(None)
    where = mask.bool().any(dim=0).nonzero().flatten()
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(None)


def cropped(x: Inputs, mask: str = "mask") -> dict[str, Tensor]:
    """Inputs of texts, each (n, length, ...), without the columns in front and behind in which no text has a token."""
    where = columns(x.get(mask))
    return {name: value[:, where] for name, value in x.items()}


def hidden_name(kwargs: Mapping[str, Any]) -> str:
    """The name by which a block is given what the one before computes."""
    return next(name for name in ("hidden_states", "x", *kwargs) if isinstance(kwargs.get(name), Tensor))


def named(name: str) -> str:
    return NAMES.get(name, name)


def _ours(x: Inputs) -> dict[str, str]:
    """What the model calls its inputs, and what they are called in `x`."""
    theirs = {ours: name for name, ours in NAMES.items()}
    return {theirs.get(name, name): name for name in x if name != TOKENS}


def form_of(one: Any, two: Any, shorter: Any) -> Any:
    """Tensors of an output as their forms; the rest as it is."""
    if isinstance(one, Tensor):
        return Form(one, two, shorter)
    if isinstance(one, tuple | list):
        less = [None] * len(one) if shorter is None else shorter
        return type(one)(form_of(*parts) for parts in zip(one, two, less, strict=True))
    if isinstance(one, dict):  # transformers' outputs are such
        return {name: form_of(value, two[name], shorter and shorter[name]) for name, value in one.items()}
    return one


def zeros_of(form: Any, passing: Passing) -> Any:
    if isinstance(form, Form):
        device = passing.tokens.device if passing.tokens is not None else None
        return torch.zeros((), dtype=form.dtype, device=device).expand(form.sizes(passing.n, passing.more))
    if isinstance(form, tuple | list):
        return type(form)(zeros_of(part, passing) for part in form)
    if isinstance(form, dict):
        return {name: zeros_of(part, passing) for name, part in form.items()}
    return form
