"""The image encoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from xm.media.images import SUFFIXES, VIEWS, read_image
from xm_openclip.encoder import Front, OpenClip


class ImageEncoder(OpenClip):
    """Image towers of CLIP. Items: paths, PIL images, uint8 arrays (h, w), (h, w, 3) or (h, w, 4).

    EXIF orientation is not applied, as in CLIP's own preprocessing.
    """

    modality = "image"
    suffixes = SUFFIXES
    views = VIEWS

    def _settings(self) -> tuple[str, ...]:
        return (self._reference.preprocess,)

    def _prepare(self, items: Sequence[Any]) -> Tensor:
        """Pixels (n, 3, height, width)."""
        transform = self._model().transform
        workers = min(len(items), 8, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers) as pool:
            return torch.stack(list(pool.map(lambda item: transform(read_image(item, upright=False)), items)))

    @staticmethod
    def _features(module: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        return {"features": module.encode_image(batch, normalize=False)}  # type: ignore[operator]

    @staticmethod
    def _split(module: nn.Module, depth: int) -> tuple[Front, nn.Module]:
        from xm_openclip.towers import split_image

        return split_image(module, depth)
