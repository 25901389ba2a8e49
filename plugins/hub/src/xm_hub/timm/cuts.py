"""Networks cut at a block, and tails without what they do not need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from xm_hub.parts import AnyModule, replaced

ALIKE = 1e-3
"""How far a split network may be from the whole one, of vectors of unit length: rounding, and no more."""


def listed(blocks: nn.Module, items: Iterable[nn.Module]) -> nn.Module:
    """Modules in a container of the kind of `blocks`: an `nn.Sequential`, else an `nn.ModuleList`."""
    return nn.Sequential(*items) if isinstance(blocks, nn.Sequential) else nn.ModuleList(items)


class Reached(Exception):  # noqa: N818 - no error: the pass has come where it should end
    """What a block is called with, where a pass ends before it."""

    def __init__(self, given: tuple[Any, ...], settings: dict[str, Any]) -> None:
        super().__init__()
        self.given = given
        self.settings = settings


class _Stop(nn.Module):
    """Stands for a block and ends the pass there; it has the block's attributes."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.__dict__["block"] = block

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["block"], name)

    def forward(self, *given: Any, **settings: Any) -> Any:
        raise Reached(given, settings)


def before(model: AnyModule, path: str, depth: int) -> AnyModule:
    """The network without the last `depth` of the blocks at a path: a pass through it ends with `Reached`."""
    blocks = list(model.get_submodule(path).children())
    kept = [*blocks[:-depth], _Stop(blocks[-depth])]
    return replaced(model, {path: listed(model.get_submodule(path), kept)})


def reached(run: Callable[[], object]) -> Reached:
    """What the pass that `run` makes ends with.

    Raises:
        LookupError: if it does not come by the block.
    """
    try:
        run()
    except Reached as end:
        return end
    raise LookupError("the blocks are not called one after the other")


def used(tail: AnyModule, x: Mapping[str, Tensor]) -> AnyModule:
    """The same tail without what its output does not depend on, such as an unused classifier.

    Where a module is called though nothing comes of it, it stays, and is not trained.

    Args:
        tail: called with `x`.
        x: a few rows that it reads.
    """
    given = {name: value.detach().clone() for name, value in x.items()}
    with torch.inference_mode(False), torch.enable_grad():
        tail.zero_grad(set_to_none=True)
        tail(given).sum().backward()
    idle = [parameter for parameter in tail.parameters() if parameter.requires_grad and parameter.grad is None]
    tail.zero_grad(set_to_none=True)
    _leave_out(tail, {id(parameter) for parameter in idle}, lambda: _runs(tail, given))
    for parameter in idle:
        parameter.requires_grad_(False)
    return tail


def _leave_out(module: nn.Module, idle: set[int], runs: Callable[[], bool]) -> None:
    for name, child in list(module.named_children()):
        own = list(child.parameters())
        if own and all(id(parameter) in idle for parameter in own):
            module._modules[name] = None
            if runs():
                continue
            module._modules[name] = child
        _leave_out(child, idle, runs)


def _runs(tail: nn.Module, x: dict[str, Tensor]) -> bool:
    try:
        with torch.no_grad():
            tail(x)
    except Exception:  # what is called is gone, by whatever that raises
        return False
    return True


def alike(found: Tensor, expected: Tensor) -> bool:
    """Whether two ways of computing unit vectors (n, dim) agree."""
    return found.shape == expected.shape and bool((found - expected).abs().max() < ALIKE)
