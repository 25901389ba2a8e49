"""Models of timm in two: a frozen front, and a tail to be trained.

Models differ in what they do between their blocks. So each split is tried on made-up pixels, and made only where front
and tail give what the whole model gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import UsageError
from xm.learning import Inputs
from xm_hub import parts
from xm_hub.timm import cuts

Front = Callable[[Any, Tensor], dict[str, Tensor]]
"""A frozen stage: a model and pixels (n, channels, height, width) to named tensors."""


class Tail(nn.Module):
    """The last blocks or stages of a model, what follows them, and its pooling, to unit vectors (n, dim).

    It stays in evaluation mode: batch norms keep their statistics, and nothing is dropped at random, so that rows do
    not depend on their neighbours.
    """

    def __init__(self, steps: Sequence[nn.Module], settings: Sequence[Mapping[str, Any]], rest: nn.Module, reads: str):
        super().__init__()
        self.steps = nn.ModuleList(deepcopy(list(steps)))
        self.rest = deepcopy(rest)
        self.reads = reads
        self.settings: list[dict[str, Any]] = []
        self._given: dict[int, str] = {}
        for given in settings:
            self.settings.append({name: self._kept(value) for name, value in given.items()})
        super().train(False)

    def _kept(self, value: Any) -> Any:
        """A setting of a block: tensors become buffers, so that they are where the tail is."""
        if not isinstance(value, Tensor):
            return value
        name = self._given.setdefault(id(value), f"given{len(self._given)}")
        self.register_buffer(name, value.detach().clone(), persistent=False)
        return _Buffer(name)

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    def forward(self, x: Inputs) -> Tensor:
        found = x[self.reads]
        for step, settings in zip(self.steps, self.settings, strict=True):
            given = {k: getattr(self, v.name) if isinstance(v, _Buffer) else v for k, v in settings.items()}
            found = step(found, **given)
        if not len(self.steps):
            found = self.rest.forward_features(found)  # type: ignore[operator]
        pooled = self.rest.forward_head(found, pre_logits=True)  # type: ignore[operator]
        return normalize(pooled, dim=-1)


class _Buffer:
    def __init__(self, name: str) -> None:
        self.name = name


def split(module: Any, depth: int, size: tuple[int, ...]) -> tuple[Front, nn.Module]:
    """A model in two; the tail is a copy.

    Args:
        module: of timm.
        depth: k: the last k blocks of a transformer, stages of another model; -1: all, from pixels.
        size: of the pixels of an image.

    Raises:
        UsageError: if it can't be split there; it names the depths.
    """
    one, two = _pixels(module, 1, size), _pixels(module, 2, size)
    if depth == -1:
        tail = Tail((), (), module, "pixels")
        return lambda _, pixels: {"pixels": pixels}, cuts.used(tail, {"pixels": one})
    for kind in (_of_blocks, _of_stages):
        most, make = kind(module, two)
        there = 0 < depth <= most
        found = _tried(module, make, depth if there else 1, one, two) if most else None
        if found is not None and not there:
            raise no_such(module, depth, most)
        if found is not None:
            return found
    raise no_such(module, depth, 0)


Make = Callable[[int, Tensor], tuple[Front, Tail]]
"""Called with a depth and pixels of one image."""


def _tried(module: Any, make: Make, depth: int, one: Tensor, two: Tensor) -> tuple[Front, nn.Module] | None:
    """The model in two, if both together give what it gives."""
    try:
        front, tail = make(depth, one)
        x = front(module, two)
        with torch.no_grad():
            same = cuts.alike(tail(x), _whole(module, two))
    except Exception:  # blocks that are not called one after the other, by whatever that raises
        return None
    return (front, cuts.used(tail, front(module, one))) if same else None


def _of_blocks(module: Any, pixels: Tensor) -> tuple[int, Make]:
    """How many blocks a transformer has, 0 of a model of another kind, and how to split it."""
    blocks = getattr(module, "blocks", None)
    if not isinstance(blocks, nn.Sequential | nn.ModuleList):
        return 0, _never
    if any(isinstance(block, nn.Sequential | nn.ModuleList) for block in blocks):
        return 0, _never
    try:
        if len(_tokens(module, pixels, 1).given) != 1:
            return 0, _never
    except LookupError:
        return 0, _never

    def make(depth: int, one: Tensor) -> tuple[Front, Tail]:
        settings = [_tokens(module, one, k).settings for k in range(depth, 0, -1)]
        last = [norm] if isinstance(norm := getattr(module, "norm", None), nn.Module) else []
        names = [name for name, _ in module.named_children()]
        rest = _without(module, [*names[: names.index("blocks") + 1], "norm"])
        tail = Tail([*blocks[-depth:], *last], [*settings, *({} for _ in last)], rest, "tokens")
        return lambda model, pixels: {"tokens": _tokens(model, pixels, depth).given[0]}, tail

    return len(blocks), make


def _of_stages(module: Any, pixels: Tensor) -> tuple[int, Make]:
    """How many stages a model has whose layers are called one after the other, 0 of another kind; how to split it."""
    stages = {str(info.get("module", "")) for info in _feature_info(module)}
    layers: list[tuple[str, bool]] = []
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential) and any(stage.startswith(f"{name}.") for stage in stages):
            layers += [(f"{name}.{inner}", True) for inner, _ in child.named_children()]
        else:
            layers.append((name, name in stages))
    names = _sequence(module, [name for name, _ in layers], pixels)
    cuts = [i for i, (name, is_stage) in enumerate(layers[: len(names)]) if is_stage and _learns(module, name)]
    nested = [i for i in cuts if "." in layers[i][0]]
    cuts = nested or cuts

    def make(depth: int, one: Tensor) -> tuple[Front, Tail]:
        behind = cuts[-depth]

        def front(model: Any, pixels: Tensor) -> dict[str, Tensor]:
            for name in names[:behind]:
                pixels = model.get_submodule(name)(pixels)
            return {"maps": pixels.contiguous()}

        steps = [module.get_submodule(name) for name in names[behind:]]
        rest = _without(module, list(dict.fromkeys(name.partition(".")[0] for name in names)))
        return front, Tail(steps, [{} for _ in steps], rest, "maps")

    return len(cuts), make


def _sequence(module: Any, names: Sequence[str], pixels: Tensor) -> list[str]:
    """The layers whose sequence is `forward_features`; [] if there is no such."""
    with torch.no_grad():
        expected, found, best = module.forward_features(pixels), pixels, 0
        for i, name in enumerate(names, 1):
            try:
                found = module.get_submodule(name)(found)
            except Exception:  # a layer that takes something else, by whatever it raises
                break
            same = isinstance(found, Tensor) and isinstance(expected, Tensor) and found.shape == expected.shape
            if same and bool(torch.allclose(found, expected, atol=1e-4, rtol=1e-4)):
                best = i
    return list(names[:best])


def _learns(module: Any, name: str) -> bool:
    return next(module.get_submodule(name).parameters(), None) is not None


def _tokens(module: Any, pixels: Tensor, depth: int) -> cuts.Reached:
    """What the block is called with from which on there are `depth`."""
    with torch.no_grad():
        return cuts.reached(lambda: cuts.before(module, "blocks", depth).forward_features(pixels))


def _without(module: Any, names: Sequence[str]) -> nn.Module:
    """The model without some of its children, and without parameters of its own."""
    made: nn.Module = parts.replaced(module, {})
    made._parameters = {}
    for name in names:
        made._modules.pop(name, None)
    return made


def _whole(module: Any, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return normalize(module.forward_head(module.forward_features(pixels), pre_logits=True), dim=-1)


def _pixels(module: nn.Module, n: int, size: tuple[int, ...]) -> Tensor:
    """Made-up pixels of n images, the same each time."""
    drawn = torch.randn(n, *size, generator=torch.Generator().manual_seed(n))
    return drawn.to(next(module.parameters()).device)


def _feature_info(module: Any) -> Sequence[Mapping[str, Any]]:
    found = getattr(module, "feature_info", None)
    return list(found) if isinstance(found, list | tuple) else []


def _never(depth: int, one: Tensor) -> tuple[Front, Tail]:
    raise LookupError("there is nothing to split")


def no_such(module: nn.Module, depth: int, most: int) -> UsageError:
    """The error for a depth that a model does not have."""
    some = f", 1 to {most}" if most > 1 else ", 1" if most else ""
    kind = type(module).__name__
    return UsageError(f"timm's {kind} can't be split at depth {depth}; depths are 0 (frozen){some} and -1 (all of it)")
