"""What splits of all kinds of networks use: networks with other parts, and which parts a pass calls."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def replaced(model: AnyModule, changes: Mapping[str, nn.Module]) -> AnyModule:
    """The network with other modules at some paths ("encoder.layer"); it shares all else with `model`."""
    made = copy.copy(model)
    made._modules, made._parameters = dict(model._modules), dict(model._parameters)
    below: dict[str, dict[str, nn.Module]] = {}
    for path, module in changes.items():
        name, _, rest = path.partition(".")
        if rest:
            below.setdefault(name, {})[rest] = module
        else:
            made._modules[name] = module
    for name, inner in below.items():
        made._modules[name] = replaced(model.get_submodule(name), inner)
    return made


def called(model: nn.Module, run: Callable[[], object]) -> dict[str, int]:
    """How often the pass that `run` makes calls each module of a network, by path, in the order of the first calls."""
    calls: dict[str, int] = {}
    hooks = [
        module.register_forward_pre_hook(lambda *_, path=path: calls.__setitem__(path, calls.get(path, 0) + 1))
        for path, module in model.named_modules()
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return calls
