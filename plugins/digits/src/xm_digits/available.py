"""Whether the encoder `spoken` can be used here."""

from __future__ import annotations

from xm.plugins import manager


def why_not() -> str | None:
    """None, or that the encoder it listens with is not installed."""
    return None if "logmel" in manager().encoders else "it hears with the encoder logmel; try: pip install xm-plain"
