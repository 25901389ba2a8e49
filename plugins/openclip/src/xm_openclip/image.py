"""The image encoder."""

from __future__ import annotations

from typing import Any

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

    def prepare(self, item: Any) -> Tensor:
        """Pixels (3, height, width)."""
        pixels: Tensor = self._model().transform(read_image(item, upright=False))
        return pixels

    @staticmethod
    def _features(module: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        return {"features": module.encode_image(batch, normalize=False)}  # type: ignore[operator]

    @staticmethod
    def _networks(module: Any) -> tuple[nn.Module, ...]:
        return (module.visual,)

    @staticmethod
    def _split(module: nn.Module, depth: int) -> tuple[Front, nn.Module]:
        from xm_openclip.towers import split_image

        return split_image(module, depth)
