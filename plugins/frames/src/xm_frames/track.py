"""Videos by their sound track."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import nn

from xm.data.content import item_name
from xm.data.member import File
from xm.device import spread
from xm.encoder import Encoder, Inputs, Prototypes, Trunk, fingerprint_of
from xm.errors import ItemError
from xm.media.videos import SUFFIXES, read_track
from xm_frames.reference import below


class Track(Encoder):
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

    def fingerprint(self) -> str:
        return fingerprint_of("track", 1, "first sound track, mean of channels", self.sounds.fingerprint())

    def trunk(self, items: Sequence[Any]) -> Inputs:
        """As of the sound encoder."""
        return self._heard(self.sounds.trunk, items)

    def split(self, depth: int) -> tuple[Trunk, nn.Module]:
        """The sound encoder's depths."""
        trunk, tail = self.sounds.split(depth)
        return lambda items: self._heard(trunk, items), tail

    def prototypes(self) -> Prototypes | None:
        """The sound encoder's."""
        return self.sounds.prototypes()

    def to(self, device: torch.device | str) -> Self:
        self.sounds.to(device)
        return super().to(device)

    def _heard(self, trunk: Callable[[Sequence[Any]], Inputs], items: Sequence[Any]) -> Inputs:
        sounds = spread(self._sound, items)
        try:
            return trunk(sounds)
        except ItemError:
            for item, sound in zip(items, sounds, strict=True):
                _hear(trunk, item, sound)
            raise

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
        video = isinstance(item, str | File) and str(item).lower().endswith(SUFFIXES)
        return read_track(item) if video else item


def _hear(trunk: Callable[[Sequence[Any]], Inputs], item: Any, sound: Any) -> None:
    """Say which item it is that the sound encoder can't read: it knows a track as an array."""
    try:
        trunk([sound])
    except ItemError as error:
        raise error if sound is item else ItemError(str(item), error.reason) from error
