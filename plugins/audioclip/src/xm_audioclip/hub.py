"""A checkpoint on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from xm import UsageError
from xm.plugins import Weights, hub

OTHERWISE = "name a local file: audioclip:CHECKPOINT.pt"
"""What to type where there is no network."""


def fetch(place: str) -> Path:
    """The file ``ORG/NAME/FILE``, from the hub's local cache if it is there, else downloaded.

    Raises:
        UsageError: if the place is not of that form, or the hub has no such file.
        PluginError: if the file is not here and the network is off or fails.
    """
    repo, name = _parsed(place)
    return hub.fetch(repo, (name,), OTHERWISE)


def told(place: str) -> Weights:
    """The file ``ORG/NAME/FILE``, as `xm.Encoder.pretrained` says it."""
    repo, name = _parsed(place)
    return hub.weights(repo, (name,), OTHERWISE)


def _parsed(place: str) -> tuple[str, str]:
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)/(.+)", place)
    if not match:
        raise UsageError(f"audioclip:hf-hub:{place}: expected audioclip:hf-hub:ORG/NAME/CHECKPOINT.pt")
    return match[1], match[2]
