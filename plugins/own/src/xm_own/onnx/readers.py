"""From items to what a graph takes: images, videos and sounds. Texts are in `texts`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchaudio.transforms import MelSpectrogram  # type: ignore[import-untyped]

from xm import UsageError
from xm.media import images, sounds, videos
from xm.media.lengths import parse_length
from xm_own.onnx.graph import Array, Graph
from xm_own.onnx.settings import ImageSettings, SoundSettings, VideoSettings

Prepared = tuple[list[Any], Tensor]
"""What a graph is given of an item, one or more windows, and what part of the item each holds, (windows,), sum 1."""


class Reader(ABC):
    """What is done to the items of one modality.

    Attributes:
        suffixes: of the files that it reads.
        sized: whether items of like `size` are faster together.
    """

    suffixes: tuple[str, ...] = ()
    sized: bool = False

    @abstractmethod
    def prepare(self, item: Any) -> Prepared:
        """An item's windows.

        Raises:
            ItemError: if it can't be read.
        """

    @abstractmethod
    def feed(self, windows: Sequence[Any]) -> dict[str, Array]:
        """The inputs (n, …) of n windows of one `key`, by name."""

    def key(self, window: Any) -> Any:
        """What windows have in common that the graph takes at once: their shape."""
        return window.shape

    def size(self, prepared: Prepared) -> int:
        """How large an item is."""
        return 0

    def mask(self, feed: dict[str, Array]) -> Array | None:
        """Which tokens count, (n, tokens), of what is fed; None: all."""
        return None

    def files(self) -> tuple[str, ...]:
        """Digests of the files that decide what is read."""
        return ()

    @abstractmethod
    def blank(self) -> Any:
        """A window of nothing, to see what the graph gives."""


class _Arrays(Reader):
    """Windows that are arrays, for one input."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.port = graph.input(name)

    def feed(self, windows: Sequence[Any]) -> dict[str, Array]:
        return {self.port.name: np.stack(windows).astype(self.port.dtype)}


class ImageReader(_Arrays):
    """Images: windows (channels, height, width), or channels last."""

    suffixes = images.SUFFIXES

    def __init__(self, settings: ImageSettings, graph: Graph) -> None:
        super().__init__(graph, settings.input)
        self.settings = settings

    def prepare(self, item: Any) -> Prepared:
        return [self._laid(self.settings.pixels(item))], torch.ones(1)

    def _laid(self, pixels: Array) -> Array:
        return pixels if self.settings.layout == "NCHW" else pixels.transpose(1, 2, 0)

    def blank(self) -> Array:
        return self._laid(np.zeros(self.settings.shape, dtype=np.float32))


class VideoReader(_Arrays):
    """Videos: windows of frames, in the order of axes that the settings say."""

    suffixes = videos.SUFFIXES

    def __init__(self, settings: VideoSettings, graph: Graph) -> None:
        super().__init__(graph, settings.input)
        self.settings = settings

    def _sampled(self, video: videos.Video) -> list[int]:
        if self.settings.sampling == "dense":
            return videos.sample_dense(video, self.settings.frames, self.settings.stride)
        return videos.sample_uniform(video, self.settings.frames)

    def prepare(self, item: Any) -> Prepared:
        frames = [self.settings.pixels(Image.fromarray(frame)) for frame in videos.read_clip(item, self._sampled)]
        return [self._laid(np.stack(frames))], torch.ones(1)

    def _laid(self, clip: Array) -> Array:
        """Frames (T, C, H, W) as the graph takes them."""
        axes = {"NTCHW": (0, 1, 2, 3), "NCTHW": (1, 0, 2, 3), "NTHWC": (0, 2, 3, 1)}
        return clip.transpose(axes[self.settings.layout])

    def blank(self) -> Array:
        return self._laid(np.zeros((self.settings.frames, *self.settings.shape), dtype=np.float32))


class SoundReader(_Arrays):
    """Sounds: windows that are not silent, as samples or log-mel spectrograms."""

    suffixes = sounds.SUFFIXES

    def __init__(self, settings: SoundSettings, graph: Graph) -> None:
        super().__init__(graph, settings.input)
        self.settings = settings
        self.policy = parse_length(settings.length)
        fixed = self.port.dims[-1] if settings.form == "waveform" and self.port.dims else None
        self.window = round(settings.window * settings.rate) or fixed or 0
        self.extra = len(self.port.dims) - (2 if settings.form == "waveform" else 3)
        if self.extra not in (0, 1):
            shape = "(n, samples)" if settings.form == "waveform" else "(n, bins, frames)"
            raise UsageError(
                f"{graph.path}: input {self.port} is not {shape}, nor that with one channel; "
                f"{settings.form} is what {graph.path.with_suffix('.json').name} says"
            )

    def prepare(self, item: Any) -> Prepared:
        sound = sounds.read_sound(item, self.settings.rate)
        if self.window:
            cut, shares = sounds.loud_windows(sound, self.window, self.policy, item)
            return [self._laid(window) for window in cut], shares
        sounds.check_loud(float(sound.abs().max()), self.policy, item)
        return [self._laid(sound)], torch.ones(1)

    @cached_property
    def _mel(self) -> MelSpectrogram:
        own = self.settings
        return MelSpectrogram(
            own.rate,
            n_fft=own.fft,
            win_length=own.win or own.fft,
            hop_length=own.hop,
            f_min=own.low,
            f_max=own.high or own.rate / 2,
            n_mels=own.mels,
            power=own.power,
            center=own.centre,
            norm=own.norm or None,
            mel_scale=own.scale,
        )

    def _laid(self, samples: Tensor) -> Array:
        """Samples (n,) as the graph takes them, without the axis of items."""
        x = samples if self.settings.form == "waveform" else self._pictured(samples)
        array: Array = x.numpy()
        return array[None] if self.extra else array

    def _pictured(self, samples: Tensor) -> Tensor:
        """The log-mel spectrogram of samples (n,)."""
        own = self.settings
        samples = torch.nn.functional.pad(samples, (0, max(0, own.fft - len(samples))))
        mel: Tensor = (self._mel(samples) + own.offset).clamp_min(own.floor)
        log = mel.log() if own.log == "ln" else mel.log10() * (10 if own.log == "db" else 1)
        log = (log - own.mean) / own.std
        return log if own.axes == "bins,frames" else log.T.contiguous()

    def blank(self) -> Array:
        return self._laid(torch.zeros(self.window or self.settings.rate))
