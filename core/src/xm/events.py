"""Events: what progress bars and trackers listen to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: "embed" (done, total, modality), "step" (step, steps, loss), "eval" (step, score), "cell" (one
            fitted and tested model: the result's fields), "warning" (message) or "note" (message).
        data: plain values.
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


Listener: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """A listener that does nothing."""
