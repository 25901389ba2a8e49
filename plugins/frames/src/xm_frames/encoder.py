"""Videos as sets of frames, seen by an image encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from PIL import Image
from torch import Tensor, nn

from xm import Preparing, Prototypes, fingerprint_of
from xm.encoders import compute, prepare
from xm.learning import Inputs
from xm.media.videos import SUFFIXES, VIEWS, read_clip
from xm.plugins import Weights
from xm_frames.named import Named, computed, named, told
from xm_frames.reference import FrameOptions, below, parse

DECODING = "PyAV, the frame on the screen at its time, upright, rgb24"
"""How frames are decoded, for the fingerprint."""

WHERE = "a frame of it "
"""What errors say of a video whose frame the image encoder refuses."""


class Frames(Preparing):
    """The mean of a video's frames, each a unit vector of an image encoder: in that encoder's space.

    As in CLIP4Clip (Luo et al., Neurocomputing 2022, its parameter-free pooling); ViFi-CLIP (Rasheed et al., CVPR
    2023) takes the mean before scaling to unit length. Scores are means over frames as well.

    Length policy: the whole video gives `n` frames, whatever its length (``uniform``), or a window of `n` frames,
    `stride` apart, in its middle does (``dense``); where there are too few, frames are repeated.

    Items are paths, and uint8 arrays (frames, h, w, 3). What is held of one that was read ahead are its frames as the
    image encoder prepares them; one that does not (`xm.Preparing`) is given them at full size.

    Args:
        argument: an image encoder's reference, and options: "openclip:ViT-B-32/openai?n=16".

    Raises:
        UsageError: if there is no such image encoder or option.
        PluginError: if no image encoder can be used here.
    """

    name: ClassVar[str] = "frames"
    options_type: ClassVar[type[FrameOptions]] = FrameOptions

    modality = "video"
    suffixes = SUFFIXES
    views = VIEWS
    pooled = True

    def __init__(self, argument: str = "") -> None:
        reference, self.options = parse(self.name, argument, self.options_type)
        self.images = below(self.name, reference, "image")
        self.space, self.dim = self.images.space, self.images.dim
        self.batch_size = max(1, self.images.batch_size // self.options.n)

    def fingerprint(self) -> str:
        return fingerprint_of(self.name, 1, self.options.policy, DECODING, self.images.fingerprint())

    def prepare(self, item: Any) -> Named:
        """The sampled frames of a video, each prepared by the image encoder.

        Raises:
            ItemError: if the video can't be decoded, or the image encoder refuses a frame of it.
        """
        clip = read_clip(item, self.options.sample)
        name = named(item)
        with told(name, WHERE):
            return Named(name, [prepare(self.images, Image.fromarray(frame)) for frame in clip])

    def compute(self, prepared: Sequence[Named]) -> Inputs:
        """``features`` (n, dim), and ``scores`` (n, classes) if the image encoder has them: means over frames."""
        return pooled(self.over_time(prepared))

    def places(self, items: Sequence[Any]) -> Inputs:
        """Each frame's unit vector: ``tokens`` (n, T, dim), in order of time."""
        tokens = self.over_time([self.prepare(item) for item in items])["frames"].cpu()
        middles = (torch.arange(tokens.shape[1]) + 0.5) / tokens.shape[1]
        grid = middles[:, None].expand(len(tokens), -1, 1)
        return {"tokens": tokens, "mask": torch.ones(tokens.shape[:2], dtype=torch.bool), "grid": grid}

    def over_time(self, prepared: Sequence[Named]) -> Inputs:
        """``frames`` (n, T, dim), unit vectors in order of time; and ``scores`` (n, classes), means over frames."""
        if not prepared:
            return {"frames": torch.zeros(0, self.options.n, self.dim)}
        return computed(self._seen, prepared, WHERE)

    def _seen(self, clips: Sequence[list[Any]]) -> Inputs:
        """`over_time` of clips, each a list of prepared frames."""
        tail = self.images.split(0)[1]
        frames = [frame for clip in clips for frame in clip]
        rows: list[dict[str, Tensor]] = []
        with torch.no_grad():
            for start in range(0, len(frames), self.images.batch_size):
                x = compute(self.images, frames[start : start + self.images.batch_size])
                rows.append({"frames": tail(x), **({"scores": x["scores"]} if "scores" in x else {})})
        whole = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
        clipped = {name: value.reshape(len(clips), self.options.n, -1) for name, value in whole.items()}
        return {name: value.mean(dim=1) if name == "scores" else value for name, value in clipped.items()}

    def pretrained(self) -> tuple[Weights, ...]:
        return self.images.pretrained()

    def networks(self) -> tuple[nn.Module, ...]:
        return self.images.networks()

    def prototypes(self) -> Prototypes | None:
        """The image encoder's."""
        return self.images.prototypes()

    def to(self, device: torch.device | str) -> Self:
        self.images.to(device)
        return super().to(device)


def pooled(x: Inputs) -> Inputs:
    """The mean over time as ``features`` (n, dim), instead of ``frames`` (n, T, dim); the rest as it is."""
    return {"features": x["frames"].mean(dim=1), **{name: value for name, value in x.items() if name != "frames"}}
