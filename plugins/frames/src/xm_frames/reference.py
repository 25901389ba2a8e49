"""Arguments: the encoder to build on, and options."""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from pydantic import Field

from xm import Encoder, PluginError, UsageError
from xm.encoders import make_encoder
from xm.media.videos import Video, sample_dense, sample_uniform
from xm.plugins import Config, manager, options_of, validated
from xm_frames.available import default


class FrameOptions(Config):
    """Which frames are seen."""

    n: int = Field(8, ge=1, le=256, description="frames; X-CLIP's number")
    sampling: Literal["uniform", "dense"] = Field(
        "uniform", description="uniform: one in the middle of each of n equal parts of the time; dense: every stride-th"
    )
    stride: int = Field(8, ge=1, description="frames from one to the next, if dense; SlowFast's 8 x 8")

    def sample(self, video: Video) -> list[int]:
        """The numbers of the frames."""
        if self.sampling == "dense":
            return sample_dense(video, self.n, self.stride)
        return sample_uniform(video, self.n)

    @property
    def policy(self) -> str:
        """The length policy, in words."""
        what = f"every {self.stride}. frame from the middle, ends repeated" if self.sampling == "dense" else "segments"
        return f"{self.sampling} {self.n}: {what}"


class TemporalOptions(FrameOptions):
    """Also, what can be trained."""

    layers: int = Field(1, ge=1, le=4, description="of the transformer over time; X-CLIP's number")


Options = TypeVar("Options", bound=FrameOptions)


def parse(name: str, argument: str, options: type[Options]) -> tuple[str, Options]:
    """The reference of the encoder below, "" if left out, and the options after the last question mark.

    Raises:
        UsageError: if options are unknown or out of range.
    """
    reference, given = options_of(name, argument, "n=16")
    return reference, validated(options, given, f"{name}:{argument}")


def below(name: str, reference: str, modality: str) -> Encoder:
    """The encoder to build on.

    Raises:
        UsageError: if there is none of that name, or it is of another modality.
        PluginError: if it does not load.
    """
    try:
        return make_encoder(reference or default(modality), manager(), torch.device("cpu"), modality)
    except UsageError as error:
        raise UsageError(f"{name}:{reference}: {error}") from None
    except PluginError as error:
        raise PluginError(f"{name}: {error}; name one, as in {name}:NAME") from None
