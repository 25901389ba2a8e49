"""Which encoders there are to build on. Imports nothing heavy."""

from __future__ import annotations

from importlib.util import find_spec

from xm import PluginError
from xm.plugins import manager


def images() -> str | None:
    """None if videos can be decoded and some image encoder is there, else what is missing and what to type."""
    return _why_not("image")


def sounds() -> str | None:
    """None if videos can be decoded and some sound encoder is there, else what is missing and what to type."""
    return _why_not("audio")


def by_name() -> str:
    """Why the encoder `track-audio` is none to choose unasked: other sound encoders read sounds as well without it."""
    return "it reads the sound tracks of videos by a sound encoder that you name, as in track-audio:yamnet"


def _why_not(modality: str) -> str | None:
    if find_spec("av") is None:
        return "PyAV is not installed; try: pip install av"
    try:
        default(modality)
    except PluginError as error:
        return str(error)
    return None


def default(modality: str) -> str:
    """The name of the encoder of a modality with the highest priority that can be used here.

    Raises:
        PluginError: if there is none; it says why each can't be used.
    """
    specs = [spec for spec in manager().encoders.values() if spec.modality == modality and spec.priority > 0]
    reasons = []
    for spec in sorted(specs, key=lambda spec: -spec.priority):
        reason = spec.why_not()
        if reason is None:
            return spec.name
        reasons.append(f"{spec.name}: {reason}")
    raise PluginError(f"no {modality} encoder can be used by default ({'; '.join(reasons) or 'none has a priority'})")
