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
    """

    def __init__(self) -> None:
        self.tokens: Tensor | None = None
        self.n = 0


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
    """Of a tensor: its shape for one row, and which of its axes grow with the number of rows."""

    def __init__(self, one: Tensor, two: Tensor) -> None:
        self.shape, self.dtype = tuple(one.shape), one.dtype
        self.grows = tuple(b == 2 * a for a, b in zip(one.shape, two.shape, strict=True))


class Copy(nn.Module):
    """A tower of a tail's own; it never drops or masks anything at random, in training neither."""

    tower: nn.Module

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.tower.eval()
        return self


class Tail(Copy):
    """The last blocks of a tower and what follows them; reads ``tokens`` and what else decides, such as a mask."""

    def __init__(self, tower: nn.Module, run: Run, main: str, shape: tuple[int, ...], passing: Passing) -> None:
        super().__init__()
        self.tower, self.run, self.main, self.shape, self.passing = tower, run, main, shape, passing

    def forward(self, x: Inputs) -> Tensor:
        tokens = x[TOKENS]
        inputs = {name: x[ours] for name, ours in _ours(x).items()}
        if self.main not in inputs:
            inputs[self.main] = tokens.new_zeros(()).expand(len(tokens), *self.shape)
        self.passing.tokens, self.passing.n = tokens.flatten(0, 1), len(tokens)
        try:
            return normalize(self.run(self.tower, inputs), dim=-1)
        finally:
            self.passing.tokens = None


class Whole(Copy):
    """A whole tower as a tail; reads the model's inputs."""

    def __init__(self, tower: nn.Module, run: Run, passing: Passing) -> None:
        super().__init__()
        self.tower, self.run, self.passing = tower, run, passing

    def forward(self, x: Inputs) -> Tensor:
        return normalize(self.run(self.tower, {name: x[ours] for name, ours in _ours(x).items()}), dim=-1)


class WholeText(Whole):
    """A text tower as a tail; reads ``ids`` and ``mask`` (n, length), and is `xm.encoders.Promptable`.

    The part where all texts have ended is left out, unless the tower reads filling (`fixed`).
    """

    def __init__(self, tower: nn.Module, run: Run, passing: Passing, embedding: str) -> None:
        super().__init__(tower, run, passing)
        self.embedding = embedding
        self.fixed = False

    def embed(self, x: Inputs) -> Tensor:
        embedded: Tensor = self.tower.get_submodule(self.embedding)(x["ids"][:, : self._longest(x)])
        return embedded

    def forward(self, x: Inputs) -> Tensor:
        longest = self._longest(x)
        if TOKENS in x:
            longest = min(longest, x[TOKENS].shape[1])
            self.passing.tokens = x[TOKENS][:, :longest]
        try:
            return super().forward({name: x[name][:, :longest] for name in ("ids", "mask") if name in x})
        finally:
            self.passing.tokens = None

    def _longest(self, x: Inputs) -> int:
        if self.fixed or "mask" not in x or not len(x["mask"]):
            return int(x["ids"].shape[1])
        return int(x["mask"].sum(dim=1).max())


def hidden_name(kwargs: Mapping[str, Any]) -> str:
    """The name by which a block is given what the one before computes."""
    return next(name for name in ("hidden_states", "x", *kwargs) if isinstance(kwargs.get(name), Tensor))


def named(name: str) -> str:
    return NAMES.get(name, name)


def _ours(x: Inputs) -> dict[str, str]:
    """What the model calls its inputs, and what they are called in `x`."""
    theirs = {ours: name for name, ours in NAMES.items()}
    return {theirs.get(name, name): name for name in x if name != TOKENS}


def form_of(one: Any, two: Any) -> Any:
    """Tensors of an output as their forms; the rest as it is."""
    if isinstance(one, Tensor):
        return Form(one, two)
    if isinstance(one, tuple | list):
        return type(one)(form_of(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, dict):  # transformers' outputs are such
        return {name: form_of(value, two[name]) for name, value in one.items()}
    return one


def zeros_of(form: Any, passing: Passing) -> Any:
    if isinstance(form, Form):
        shape = [size * passing.n if grows else size for size, grows in zip(form.shape, form.grows, strict=True)]
        device = passing.tokens.device if passing.tokens is not None else None
        return torch.zeros((), dtype=form.dtype, device=device).expand(shape)
    if isinstance(form, tuple | list):
        return type(form)(zeros_of(part, passing) for part in form)
    if isinstance(form, dict):
        return {name: zeros_of(part, passing) for name, part in form.items()}
    return form
