"""Video encoders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from xm.media.videos import SUFFIXES, VIEWS, read_clip, sample_uniform
from xm_hub.pretrained.encoder import Pretrained
from xm_hub.pretrained.loading import made
from xm_hub.pretrained.pictures import PREPROCESSOR, PROCESSOR, image_processor
from xm_hub.source import Source, digest

VIDEO_PREPROCESSOR = "video_preprocessor_config.json"
_FRAMES = 16
"""Where the configuration does not say how many: VideoMAE's number."""

DECODING = "PyAV, the frame on the screen at its time, upright, rgb24, in the middle of each of n equal parts"


class VideoEncoder(Pretrained):
    """Video towers, of the model's own number of frames: those in the middle of as many equal parts of the time.

    Items: paths, and uint8 arrays (frames, h, w, 3); as `Pretrained` else.
    """

    modality = "video"
    suffixes = SUFFIXES
    views = VIEWS
    batch_size = 4

    @property
    def frames(self) -> int:
        """How many are seen."""
        vision = self._config.get("vision_config") or {}
        said = self._config.get("num_frames") or vision.get("num_frames")
        return int(said) if said else 8 if "vision_config" in self._config else _FRAMES

    def prepare(self, item: Any) -> dict[str, Tensor]:
        """The sampled frames, as the model's own preprocessing makes them: ``pixel_values`` (frames, 3, h, w)."""
        return self._processed(read_clip(item, lambda video: sample_uniform(video, self.frames)))

    @cached_property
    def _processor(self) -> Any:
        return video_processor(self._source, bool(self.options.code))

    def _processed(self, clip: Sequence[Any]) -> dict[str, Tensor]:
        return {"pixel_values": self._processor(list(clip))}

    def _settings(self) -> Sequence[str]:
        names = (VIDEO_PREPROCESSOR, PREPROCESSOR, PROCESSOR)
        self._source.file(*names)
        return [*self._source.digests(*names), DECODING, f"frames {self.frames}"]

    def _sample(self) -> dict[str, Tensor]:
        rng = np.random.default_rng(0)
        return self._processed([rng.integers(0, 256, (64, 64, 3)).astype(np.uint8) for _ in range(self.frames)])


def video_processor(source: Source, trusted: bool) -> Any:
    """A function of the frames (h, w, 3) of a clip to ``pixel_values`` (frames, 3, h, w).

    Models of before transformers 5 preprocess videos as lists of images, newer ones may have a video processor.

    Raises:
        UsageError: if there is no preprocessing, or it does not load.
    """
    path = source.file(PREPROCESSOR, VIDEO_PREPROCESSOR, PROCESSOR)
    content = json.loads(path.read_text(encoding="utf-8"))
    nested = path.name == PROCESSOR and "video_processor" in content and "image_processor" not in content
    by_video = path.name == VIDEO_PREPROCESSOR or nested or "video_processor_type" in content
    if not by_video:
        images = image_processor(source, trusted)
        return lambda clip: _clip(images(clip, return_tensors="pt"))
    videos = made(source, "its preprocessing", lambda: _processor(path.parent, digest(path), trusted))
    return lambda clip: _clip(videos(videos=[np.stack(clip)], do_sample_frames=False, return_tensors="pt"))


@lru_cache(maxsize=4)
def _processor(folder: Path, content: str, trusted: bool) -> Any:
    from transformers import AutoVideoProcessor

    auto: Any = AutoVideoProcessor
    return auto.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted)


def _clip(out: Any) -> Tensor:
    """Of one clip, (frames, 3, h, w): some processors give (1, frames, …), those of images (frames, …)."""
    found: Tensor = out["pixel_values"] if "pixel_values" in out else out["pixel_values_videos"]
    return found[0] if found.ndim == 5 else found
