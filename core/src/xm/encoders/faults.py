"""Exceptions of an encoder's own code on an item: they cost that item, and not the others."""

from __future__ import annotations

import traceback
from collections.abc import Collection
from typing import Any

from xm.data.content import item_name
from xm.foundation.errors import ItemError, XMError, described
from xm.plugins.blame import SEE, Thing, culprit, out_of_memory


class FaultyItemError(ItemError):
    """An item on which the code of an encoder or a view fails; the cause is what it raised.

    Attributes:
        thing: of the plugin whose code it was; None if that can't be told.
    """

    thing: Thing | None = None


def refusal(item: Any, error: Exception) -> ItemError:
    """The error of an item that can't be read, whatever was raised over it.

    Raises:
        Exception: the error itself, if it is not of the item: one of xm's that says what to mend, or lack of memory.
    """
    if isinstance(error, ItemError):
        return error
    if isinstance(error, XMError) or out_of_memory(error):
        raise error
    thing, name = culprit(error), item_name(item)
    made = FaultyItemError(name, f"{thing}: {described(error)}" if thing else described(error))
    traceback.clear_frames(error.__traceback__)  # what they hold may be as large as the item
    made.thing, made.__cause__ = thing, error
    return made


def check_some(kept: int, failed: Collection[ItemError]) -> None:
    """Raise if none of several items can be read, and all that stands against them is an encoder's own failing.

    Args:
        kept: how many could be read.
        failed: the errors of the others.

    Raises:
        PluginError: that names the plugin.
    """
    faulty = [error for error in failed if isinstance(error, FaultyItemError)]
    if kept or len(faulty) < max(2, len(failed)):
        return
    first = faulty[0]
    cause = first.__cause__
    assert cause is not None
    if first.thing is None:
        raise cause
    what = f"fails on all {len(failed)} items, first on {first.item}: {described(cause)}"
    raise first.thing.error(f"{what}; {SEE}") from cause
