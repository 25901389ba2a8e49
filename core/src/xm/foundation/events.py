"""Events: what progress bars and trackers listen to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

log = logging.getLogger("xm")


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: "embed" (done, total, modality), "step" (step, steps), "eval" (step, score), "cell" (one
            fitted and tested model: the result's fields), "warning" (message) or "note" (message).
        data: plain values.
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


Listener: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """A listener that does nothing."""


def logged(event: Event) -> None:
    """A listener that logs warnings, so that whoever listens to nothing still hears of what was left out."""
    if event.kind == "warning":
        log.warning("%s", event.data["message"])
