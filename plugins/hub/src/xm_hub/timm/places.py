"""Vectors of the places of an image: what a model's pooling and head make of each cell by itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from xm_hub.timm.model import Shape

_NOTHING = (nn.Identity, nn.Dropout, nn.Flatten)
"""Layers that leave a vector as it is, in evaluation."""


def has_places(shape: Shape) -> bool:
    """Whether what comes before the pooling is laid out over the image: maps, or a token for each patch."""
    rows, columns = _patches(shape.module)
    tokens = len(shape.maps) == 2 and 0 < rows * columns == shape.maps[0] - _prefix(shape.module)
    if not tokens and len(shape.maps) != 3:
        return False
    try:
        with torch.no_grad():
            maps = torch.zeros(1, *shape.maps, device=next(shape.module.parameters()).device)
            return int(cells(shape.module, maps)[0].shape[2]) == shape.dim
    except Exception:  # a head that takes no single cell, by whatever it raises
        return False


def pooled(shape: Shape) -> bool:
    """Whether an image's features are the mean of its cells': an average with nothing behind it but the classifier."""
    module = shape.module
    if len(shape.maps) == 2:
        own = (getattr(module, "attn_pool", None), getattr(module, "fc_norm", None))
        with_prefix = getattr(module, "pool_include_prefix", False)
        average: bool = getattr(module, "global_pool", "") == "avg"
        return average and own[0] is None and isinstance(own[1], nn.Identity) and not with_prefix
    head = module if isinstance(getattr(module, "global_pool", None), nn.Module) else getattr(module, "head", None)
    pool = getattr(head, "global_pool", None)
    if not isinstance(head, nn.Module) or getattr(pool, "pool_type", "") != "avg":
        return False
    children = list(head.children())
    behind = children[next(i for i, child in enumerate(children) if child is pool) + 1 :]
    last = module.get_classifier()
    return all(isinstance(child, _NOTHING) or child is last for child in behind)


def cells(module: Any, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors of each cell, row by row, (n, cells, dim); and their middles (cells, 2), down and right, 0 to 1."""
    n = len(maps)
    if maps.ndim == 4:
        last = getattr(module, "output_fmt", "") == "NHWC"
        rows, columns = maps.shape[1:3] if last else maps.shape[2:4]
        alone = maps.reshape(-1, 1, 1, maps.shape[3]) if last else maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
        alone = alone if last else alone[:, :, None, None]
    else:
        rows, columns = _patches(module)
        prefix = _prefix(module)
        tokens = maps[:, prefix:].reshape(-1, 1, maps.shape[2])
        # Where tokens of their own stand for the image, each patch takes their place; else there is nothing in it.
        before = tokens if getattr(module, "global_pool", "") == "token" else torch.zeros_like(tokens)
        alone = torch.cat([before.expand(-1, prefix, -1), tokens], dim=1)
    vectors = module.forward_head(alone, pre_logits=True)
    down, right = ((torch.arange(size) + 0.5) / size for size in (rows, columns))
    return vectors.float().reshape(n, rows * columns, vectors.shape[-1]), torch.cartesian_prod(down, right)


def _patches(module: Any) -> tuple[int, int]:
    size = getattr(getattr(module, "patch_embed", None), "grid_size", None)
    return (int(size[0]), int(size[1])) if size is not None else (0, 0)


def _prefix(module: Any) -> int:
    return int(getattr(module, "num_prefix_tokens", 0))
