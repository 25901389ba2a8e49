"""What a user types after ``audioclip:``: a checkpoint, and settings of the audio head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xm import UsageError
from xm.foundation import unknown
from xm.media.lengths import CHUNKS, LengthPolicy, parse_length
from xm_audioclip import hub

URL = "https://github.com/AndreyGuzhov/AudioCLIP/releases/download/v0.1/AudioCLIP-Full-Training.pt"
AMPLITUDES = {"16-bit": 32768.0, "unit": 1.0}
"""What samples within -1 to 1 are multiplied by, before the network, which expects 16-bit integers' range."""
_HUB = "hf-hub:"
SETTINGS = ("batch_statistics", "amplitude", "length")


@dataclass(frozen=True)
class Reference:
    """A checkpoint and how the audio head is used.

    Attributes:
        file: the checkpoint.
        hub: ORG/NAME/FILE of the hub, where it is from there; else "".
        batch_statistics: windows to a group that shares its statistics; 0: the statistics of training.
        amplitude: a name in `AMPLITUDES`.
        length: how sounds become windows of 5 s.
    """

    file: Path
    batch_statistics: int = 0
    amplitude: str = "16-bit"
    length: LengthPolicy = CHUNKS
    hub: str = ""


def resolve(argument: str) -> Reference:
    """Take the argument apart, and find the checkpoint. An existing file's name is never taken apart.

    Raises:
        UsageError: if nothing is named, for a missing file or an unknown setting.
        PluginError: if a file of the hub can't be had.
    """
    place, mark, settings = argument.rpartition("?")
    if not mark or Path(argument).expanduser().is_file():
        place, mark = argument, ""
    chosen = dict(_setting(part) for part in settings.split("&")) if mark else {}
    return Reference(
        _locate(place),
        _group(chosen.get("batch_statistics")),
        _amplitude(chosen.get("amplitude", "16-bit")),
        parse_length(chosen["length"]) if "length" in chosen else CHUNKS,
        place.removeprefix(_HUB) if place.startswith(_HUB) else "",
    )


def _locate(place: str) -> Path:
    if not place:
        raise UsageError(f"audioclip needs a checkpoint, as in audioclip:AudioCLIP-Full-Training.pt (download: {URL})")
    if place.startswith(_HUB):
        return hub.fetch(place.removeprefix(_HUB))
    file = Path(place).expanduser()
    if not file.is_file():
        raise UsageError(f"audioclip: no such checkpoint: {place} (download: {URL})")
    return file


def _setting(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    if name not in SETTINGS:
        raise unknown("setting of audioclip", name, SETTINGS)
    return name, value


def _group(value: str | None) -> int:
    if value is None:
        return 0
    if not value.isdecimal() or int(value) < 2:
        raise UsageError(f"audioclip: batch_statistics={value}: expected a whole number of 2 or more, as in 10")
    return int(value)


def _amplitude(value: str) -> str:
    if value not in AMPLITUDES:
        raise unknown("amplitude of audioclip", value, AMPLITUDES)
    return value
