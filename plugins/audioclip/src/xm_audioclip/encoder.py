"""What the three encoders share."""

from __future__ import annotations

from xm import Preparing
from xm.plugins import Weights, of_files
from xm_audioclip import hub
from xm_audioclip.checkpoint import look
from xm_audioclip.reference import resolve


class AudioClip(Preparing):
    """One tower of AudioCLIP. Towers of one checkpoint share a space, whatever the audio head's settings."""

    def __init__(self, argument: str = "") -> None:
        """Find the checkpoint and read its sizes; weights load on the first call of `compute`.

        Raises:
            UsageError: for a missing or wrong checkpoint, or an unknown setting.
            PluginError: if a checkpoint of the hub can't be had.
        """
        self._reference = resolve(argument)
        self._checkpoint = look(self._reference.file)
        self.space = self._checkpoint.space
        self.dim = self._checkpoint.dim

    def pretrained(self) -> tuple[Weights, ...]:
        """The checkpoint, which holds all three towers."""
        place = self._reference.hub
        return (hub.told(place) if place else of_files(self._reference.file),)
