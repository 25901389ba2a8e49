"""Whether the encoder can be used without an argument."""

from __future__ import annotations


def why_not() -> str:
    """It is of no use by itself."""
    return "name what it averages, such as --audio-encoder mean:yamnet:length=crop+yamnet:length=chunks"
