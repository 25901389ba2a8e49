"""Videos by their sound track."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Self

import torch
from torch import nn

from xm import ItemError, Preparing, Prototypes, fingerprint_of
from xm.data import File, item_name
from xm.encoders import Trunk, compute, prepare
from xm.learning import Inputs
from xm.media.streams import has_pictures
from xm.media.videos import SUFFIXES, read_track
from xm.plugins import Weights
from xm_frames.named import Named, computed, named, told
from xm_frames.reference import below


class Track(Preparing):
    """A video's own sound, heard by a sound encoder: in its space, with its prototypes, depths and length policy.

    Items are paths. Without a sound track, a video is an item that can't be read.

    Args:
        argument: the sound encoder's reference, "yamnet"; "" means the default one.

    Raises:
        UsageError: if there is no such sound encoder.
        PluginError: if none can be used here.
    """

    name: ClassVar[str] = "track"

    modality = "video"
    suffixes: tuple[str, ...] = SUFFIXES

    def __init__(self, argument: str = "") -> None:
        self.sounds = below(self.name, argument, "audio")
        self.space, self.dim, self.batch_size = self.sounds.space, self.sounds.dim, self.sounds.batch_size
        self.sized = isinstance(self.sounds, Preparing) and self.sounds.sized

    def fingerprint(self) -> str:
        return fingerprint_of("track", 1, "first sound track, mean of channels", self.sounds.fingerprint())

    def prepare(self, item: Any) -> Named:
        """The sound track, prepared by the sound encoder.

        Raises:
            ItemError: if there is none, or the sound encoder refuses it.
        """
        sound, name = self._sound(item), named(item)
        with told(name):
            return Named(name, prepare(self.sounds, sound))

    def compute(self, prepared: Sequence[Named]) -> Inputs:
        """As of the sound encoder."""
        return computed(partial(compute, self.sounds), prepared)

    def size(self, prepared: Named) -> int:
        return self.sounds.size(prepared.content) if isinstance(self.sounds, Preparing) else 0

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """The sound encoder's depths."""
        opened = self.sounds.opened if isinstance(self.sounds, Preparing) else self.sounds.split
        front, tail = opened(depth)
        return lambda prepared: computed(front, prepared), tail

    def pretrained(self) -> tuple[Weights, ...]:
        return self.sounds.pretrained()

    def networks(self) -> tuple[nn.Module, ...]:
        return self.sounds.networks()

    def prototypes(self) -> Prototypes | None:
        """The sound encoder's."""
        return self.sounds.prototypes()

    def to(self, device: torch.device | str) -> Self:
        self.sounds.to(device)
        return super().to(device)

    def _sound(self, item: Any) -> Any:
        """What the sound encoder reads."""
        if not isinstance(item, str | File):
            raise ItemError(item_name(item), "is no video; give a path")
        return read_track(item)


class TrackAudio(Track):
    """The sound encoder itself, which reads the sound tracks of videos besides what it reads else.

    Args:
        argument: as of `Track`.
    """

    name: ClassVar[str] = "track-audio"

    modality = "audio"
    suffixes = ()

    def _sound(self, item: Any) -> Any:
        if not isinstance(item, str | File):
            return item
        suffix = str(item)[str(item).rfind(".") :].lower()
        foreign = suffix in SUFFIXES and suffix not in self.sounds.suffixes
        return read_track(item) if foreign or has_pictures(item) else item
