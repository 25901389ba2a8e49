"""What encoders of text share: from an item to its words. Images and sounds are in `xm.media`."""

from __future__ import annotations

from io import TextIOWrapper
from pathlib import Path
from typing import Any

from xm.data.content import item_name
from xm.data.member import File, Member
from xm.data.types import View
from xm.data.views import seen
from xm.foundation.errors import ItemError


def read_text(item: Any) -> str:
    """The words of an item: a string is the text itself, a `Path` or `Member` a UTF-8 file, whose outer white
    space is dropped, and a `View` of one what that makes of it.

    Raises:
        ItemError: if it is neither, can't be read, or holds no text.
    """
    if isinstance(item, View):
        text = str(seen("text", read_text(item.item), item))
    elif isinstance(item, str):
        text = item
    elif isinstance(item, Path | Member):
        text = _read(item)
    else:
        raise ItemError(item_name(item), "is not a text; give a string, or the Path of a text file")
    if not text.strip():
        raise ItemError(repr(item) if isinstance(item, str) else item, "holds no text")
    return text


def _read(item: File) -> str:
    try:
        with TextIOWrapper(item.open("rb"), encoding="utf-8-sig") as file:
            return file.read().strip()
    except UnicodeDecodeError as error:
        raise ItemError(item, f"is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except FileNotFoundError:
        raise ItemError(item, "no such file") from None
    except OSError as error:
        raise ItemError(item, f"can't be read: {error.strerror or error}") from error
