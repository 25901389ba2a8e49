"""Low-rank adapters in towers, by the library peft."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from xm import UsageError
from xm.learning import Inputs, Tower, Towers
from xm_lora.attention import Attention, take_apart


@dataclass(frozen=True)
class Adapters:
    """What is adapted, and how: ``W x`` becomes ``W x + s B A dropout(x)``.

    A (rank, in) starts as a linear layer of PyTorch does, B (out, rank) at zero.

    Attributes:
        modules: names of layers, without what they lie in; matrices of attention are ``q_proj``, ``k_proj``,
            ``v_proj`` and ``out_proj``.
        rank: of the change.
        alpha: s times the rank, or times its square root.
        dropout: of the adapter's inputs.
        root: whether s is ``alpha / sqrt(rank)`` (rank-stabilised) or ``alpha / rank``.
    """

    modules: Sequence[str]
    rank: int
    alpha: float
    dropout: float
    root: bool

    def put_into(self, towers: Towers) -> None:
        """Adapt every opened tower, in place; nothing else of it can be trained any more. A is drawn at random.

        Raises:
            UsageError: if it has no layer of these names; it lists those that could be adapted.
        """
        for modality in opened(towers):
            self._put_into(towers[modality], modality)

    def _put_into(self, tower: nn.Module, modality: str) -> None:
        if not isinstance(tower, Tower):
            raise TypeError(f"no tower: {type(tower).__name__}")
        tail = tower.tail
        take_apart(tail)
        names = [name for name, module in tail.named_modules() if _linear(module)]
        wanted = [name for name in names if _last(name) in self.modules]
        if not wanted:
            known = ", ".join(sorted({_last(name) for name in names})) or "none"
            raise UsageError(
                f"what is opened of the {modality} encoder has no layer {' or '.join(self.modules)} to adapt; "
                f"name others with --set modules=… (here: {known})"
            )
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,  # type: ignore[arg-type]  # peft only divides it
            lora_dropout=self.dropout,
            use_rslora=self.root,
            target_modules="|".join(map(re.escape, wanted)),
        )
        inject_adapter_in_model(config, tail)


def merged(tail: nn.Module) -> dict[str, Tensor]:
    """The weights of a tail's adapted layers with the adapters in them, by names of a tail without."""
    adapted: dict[str, Any] = {name: layer for name, layer in tail.named_modules() if isinstance(layer, LoraLayer)}
    found = {f"{name}.weight": _weight(layer) for name, layer in adapted.items()}
    for name, module in tail.named_modules():
        if isinstance(module, Attention):
            layers = {layer: f"{name}.{layer}".lstrip(".") for layer in ("q_proj", "k_proj", "v_proj", "out_proj")}
            if not adapted.keys() & set(layers.values()):
                continue
            weights = {layer: _weight(tail.get_submodule(path)) for layer, path in layers.items()}
            found = {n: w for n, w in found.items() if n.removesuffix(".weight") not in layers.values()}
            found |= {f"{name}.{n}".lstrip("."): w for n, w in module.fused(weights).items()}
    return found


def _weight(layer: Any) -> Tensor:
    """Of a linear layer, with its adapter if it has one."""
    adapted = isinstance(layer, LoraLayer)
    weight: Any = layer.base_layer.weight + layer.get_delta_weight("default") if adapted else layer.weight
    found: Tensor = weight.detach()
    return found


def opened(towers: Towers) -> list[str]:
    """The modalities whose towers can be trained."""
    return [m for m, tower in towers.items() if any(p.requires_grad for p in tower.parameters())]


def check_used(towers: Towers, samples: Mapping[str, Inputs]) -> None:
    """Whether every adapter is on the way of its tower's samples.

    Raises:
        UsageError: if not: then a layer's weights are used without calling it, and the adapter would do nothing.
    """
    for modality, x in samples.items():
        trained = {name: p for name, p in towers[modality].named_parameters() if p.requires_grad}
        with torch.enable_grad():
            total = towers[modality](x).sum()
        found: Sequence[Tensor | None] = [None] * len(trained)
        if total.requires_grad:
            found = torch.autograd.grad(total, list(trained.values()), allow_unused=True)
        idle = [name for name, gradient in zip(trained, found, strict=True) if gradient is None]
        if idle:
            layer = idle[0].partition(".lora_")[0].removeprefix("map.")
            raise UsageError(
                f"{layer} of the {modality} encoder can't be adapted: its weights are used, but it is never called; "
                "choose other layers with --set modules=… or another encoder"
            )


def _linear(module: nn.Module) -> bool:
    """Whether it is a linear map of its channels, which an adapter of two such maps can change."""
    if type(module) is nn.Conv2d:  # of another class peft makes the adapter's halves, too
        return module.kernel_size == (1, 1) and module.groups == 1
    return isinstance(module, nn.Linear)


def _last(name: str) -> str:
    return name.rpartition(".")[2]
