"""Items of which an encoder reads the beginning alone, as a text of more tokens than it takes: it says so, and
whoever has items encoded tells how many they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

_lock = Lock()
_heard: list[dict[int, int]] = []


def note_cut(item: Any, most: int) -> None:
    """Say that what lies behind the first `most` tokens of an item is left out.

    An encoder calls it where it prepares the item (`xm.Preparing.prepare`, or `trunk`), in any thread.
    """
    with _lock:
        for found in _heard:
            found[id(item)] = most


@contextmanager
def heard_cuts() -> Iterator[dict[int, int]]:
    """Within, what encoders say of items that they cut: how much they read of each, by the item's `id`."""
    found: dict[int, int] = {}
    with _lock:
        _heard.append(found)
    try:
        yield found
    finally:
        with _lock:
            _heard[:] = [other for other in _heard if other is not found]


def told_cuts(modality: str, most: int, cut: int, of: int) -> str:
    """The warning, in a line.

    Args:
        modality: of the items.
        most: tokens that the encoder reads.
        cut: how many items are longer.
        of: how many there are.
    """
    are = "is" if cut == 1 else "are"
    return (
        f"{modality}: {cut} of {of} items {are} longer than the {most} tokens that the encoder reads; "
        "what lies behind them is left out"
    )
