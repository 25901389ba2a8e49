"""Models of sentence-transformers in two, by the splits of transformers' towers (`xm_hub.pretrained.splits`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from xm.learning import Inputs
from xm_hub import parts
from xm_hub.pretrained.splits import Split

IDS, MASK = "input_ids", "attention_mask"
CODED = (IDS, MASK, "token_type_ids")
"""What the preprocessing of texts gives, (n, length)."""


def split(
    made: Any, main: str, inputs: Mapping[str, Any], depth: int, dim: int, told: str
) -> tuple[Callable[[Inputs], Inputs], nn.Module]:
    """A model in two; the tail is a copy.

    Args:
        made: `SentenceTransformer`.
        main: name of the large input.
        inputs: of one item: tensors, and the settings that its modules are called with too.
        depth: k: the last k blocks of its network, and the modules behind it; -1: all.
        dim: that are kept.
        told: how an error begins.

    Raises:
        UsageError: if it can't be split there.
    """
    first = parts.replaced(made[0], {})
    for name in ("processor", "input_formatter"):  # of no use behind the tokens, and large to copy
        if name in vars(first):
            vars(first)[name] = None
    model = nn.Sequential(first, *list(made.children())[1:])
    settings = {name: value for name, value in inputs.items() if not isinstance(value, Tensor)}
    sample = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
    return Split(model, partial(_vectors, settings, dim), main, sample, told).at(depth)


def _vectors(settings: Mapping[str, Any], dim: int, model: nn.Module, inputs: Inputs) -> Tensor:
    """What the modules give one after the other, (n, dim)."""
    features: dict[str, Any] = {**inputs, **settings}
    for part in model.children():
        features = part(features)
    found: Tensor = features["sentence_embedding"]
    return found.float()[:, :dim]


def filled(coded: Mapping[str, Any], length: int, made: Any) -> dict[str, Any]:
    """What the preprocessing of texts gives, its tensors made (n, length), on the side on which the tokenizer fills.

    Where there is no mask, all are tokens.
    """
    tokenizer = made.tokenizer
    found = {MASK: torch.ones_like(coded[IDS]), **coded}
    more = length - found[IDS].shape[1]
    sides = (more, 0) if getattr(tokenizer, "padding_side", "right") == "left" else (0, more)
    filler = {IDS: int(getattr(tokenizer, "pad_token_id", 0) or 0)}
    return {name: pad(v, sides, value=filler.get(name, 0)) if name in CODED else v for name, v in found.items()}
