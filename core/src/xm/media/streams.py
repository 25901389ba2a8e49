"""What a container holds, sound or video, told by looking into it. Imports nothing heavy before it looks."""

from __future__ import annotations

from xm.data.member import File
from xm.foundation.errors import XMError


def is_sound(path: str | File) -> bool:
    """Whether a file holds sound and no moving picture; a cover is none.

    False if it can't be opened, or PyAV is not installed: readers say what is wrong with it.
    """
    return _held(path) == (True, False)


def has_pictures(path: str | File) -> bool:
    """Whether a file holds a moving picture. False if it can't be opened, or without PyAV."""
    return _held(path)[1]


def _held(path: str | File) -> tuple[bool, bool]:
    """Whether there is sound, and whether there are moving pictures."""
    from xm.media import _libav

    try:
        with _libav.opened(path) as container:
            return bool(container.streams.audio), bool(_libav.pictures(container))
    except XMError:
        return False, False
