"""Image encoders."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from xm.learning import Inputs
from xm.media.images import SUFFIXES, VIEWS, converted, read_image
from xm_hub.pretrained.encoder import Pretrained
from xm_hub.pretrained.loading import RELEASE, made
from xm_hub.source import Source, digest

PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
_BACKEND: dict[str, Any] = {"backend": "pil"} if RELEASE >= (5, 0) else {"use_fast": False}
"""Preprocessing by Pillow and NumPy, whatever else is installed."""


class ImageEncoder(Pretrained):
    """Image towers. Items: paths, PIL images, uint8 arrays (h, w), (h, w, 3) or (h, w, 4); as `Pretrained` else."""

    modality = "image"
    suffixes = SUFFIXES
    views = VIEWS

    def prepare(self, item: Any) -> dict[str, Tensor]:
        """What the model's own preprocessing makes of an image, by the names of the model's inputs."""
        return self._processed(converted(read_image(item), "RGB", item))

    @cached_property
    def _processor(self) -> Any:
        return image_processor(self._source, bool(self.options.code))

    def _processed(self, image: Image.Image) -> dict[str, Tensor]:
        out = self._processor(images=image, return_tensors="pt")
        return {name: value[0] for name, value in out.items() if isinstance(value, Tensor)}

    def _settings(self) -> Sequence[str]:
        return processor_digests(self._source)

    def _sample(self) -> dict[str, Tensor]:
        noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
        return self._processed(Image.fromarray(noise))


class PlacedImageEncoder(ImageEncoder):
    """Of a tower whose patches have vectors in its space too."""

    pooled = False

    def places(self, items: Sequence[Any]) -> Inputs:
        """A vector for each patch, in reading order; an item has the same number of them whatever its size."""
        assert self.kind.places is not None
        rows = self._rows([self.prepare(item) for item in items])
        model = self._loaded().module
        with torch.no_grad():
            inputs = {name: value.to(self.device) for name, value in rows.items()}
            tokens = self.kind.places(model, inputs).float().cpu()
        height, width = rows["pixel_values"].shape[-2:]
        down = round((tokens.shape[1] * height / width) ** 0.5)
        middles = torch.cartesian_prod(_middles(down), _middles(tokens.shape[1] // down))
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool)
        return {"tokens": tokens, "mask": mask, "grid": middles.expand(len(tokens), -1, -1)}


def _middles(n: int) -> Tensor:
    return (torch.arange(n) + 0.5) / n


def image_encoder(argument: str = "") -> ImageEncoder:
    """The image encoder of an argument: with local vectors where its tower has such."""
    found = ImageEncoder(argument)
    return PlacedImageEncoder(argument) if found.kind.places is not None else found


def processor_digests(source: Source) -> list[str]:
    """What preprocessing hangs on, for a fingerprint."""
    source.file(PREPROCESSOR, PROCESSOR)
    return [*source.digests(PREPROCESSOR, PROCESSOR), "Pillow"]


def image_processor(source: Source, trusted: bool) -> Any:
    """transformers' image processor of a source. The last four are kept.

    Raises:
        UsageError: if there is none, or it does not load.
    """
    path = source.file(PREPROCESSOR, PROCESSOR)
    return made(source, "its preprocessing", lambda: _processor(path.parent, digest(path), trusted))


@lru_cache(maxsize=4)
def _processor(folder: Path, content: str, trusted: bool) -> Any:
    from transformers import AutoImageProcessor

    auto: Any = AutoImageProcessor
    return auto.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted, **_BACKEND)
