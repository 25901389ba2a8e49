"""The image encoder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from xm.errors import ItemError
from xm_openclip.encoder import Front, OpenClip

_LAZY = Lock()
"""Held while a PIL image is decoded: the same one may be in a batch twice."""


class ImageEncoder(OpenClip):
    """Image towers of CLIP. Items: paths, PIL images, uint8 arrays (h, w), (h, w, 3) or (h, w, 4)."""

    modality = "image"
    suffixes = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")

    def _settings(self) -> tuple[str, ...]:
        return (self._reference.preprocess,)

    def _prepare(self, items: Sequence[Any]) -> Tensor:
        """Pixels (n, 3, height, width)."""
        transform = self._model().transform
        workers = min(len(items), 8, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers) as pool:
            return torch.stack(list(pool.map(lambda item: _read(item, transform), items)))

    @staticmethod
    def _features(module: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        return {"features": module.encode_image(batch, normalize=False)}  # type: ignore[operator]

    @staticmethod
    def _split(module: nn.Module, depth: int) -> tuple[Front, nn.Module]:
        from xm_openclip.towers import split_image

        return split_image(module, depth)


def _read(item: Any, transform: Callable[[Image.Image], Tensor]) -> Tensor:
    """One item, preprocessed. Pillow decodes here, and of a PIL image that is not decoded yet."""
    if isinstance(item, np.ndarray):
        return transform(_from_array(item))
    if isinstance(item, Image.Image):
        name = f"PIL image of size {item.size}"
    elif isinstance(item, str | os.PathLike):
        name = os.fspath(item)
        if not Path(name).is_file():
            raise ItemError(name, "no such file")
    else:
        raise ItemError(repr(item)[:80], f"a {type(item).__name__} is no path, PIL image or uint8 array")
    try:
        if isinstance(item, Image.Image):
            with _LAZY:
                item.load()
            return transform(item)
        with Image.open(name) as image:
            return transform(image)
    except Exception as error:  # Pillow's readers raise OSError, ValueError, SyntaxError and more
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ItemError(name, f"not a readable image: {reason}") from error


def _from_array(array: np.ndarray[Any, Any]) -> Image.Image:
    colours = array.shape[2] if array.ndim == 3 else 3
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or colours not in (3, 4) or not array.size:
        raise ItemError(
            f"array of shape {array.shape} and type {array.dtype}",
            "expected uint8 of shape (h, w), (h, w, 3) or (h, w, 4)",
        )
    return Image.fromarray(array)
