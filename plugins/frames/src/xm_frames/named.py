"""What was prepared of a video, and the errors of the encoder below told by the video: it knows a frame or a track."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from xm import ItemError
from xm.data import item_name
from xm.learning import Inputs


@dataclass(frozen=True)
class Named:
    """An item that was prepared.

    Attributes:
        name: of the item, for messages.
        content: of it, as the encoder below prepared it.
    """

    name: str
    content: Any


def named(item: Any) -> str:
    """What to call an item: strings are paths, which are told whole."""
    return item if isinstance(item, str) else item_name(item)


@contextmanager
def told(name: str, where: str = "") -> Iterator[None]:
    """Within, errors of the encoder below name the item, and say `where` in it something is wrong."""
    try:
        yield
    except ItemError as error:
        raise ItemError(name, f"{where}{error.reason}") from error


def computed(compute: Callable[[Sequence[Any]], Inputs], prepared: Sequence[Named], where: str = "") -> Inputs:
    """`compute` of all contents; if one is refused only now, they are tried one by one to tell whose it is."""
    try:
        return compute([one.content for one in prepared])
    except ItemError:
        for one in prepared:
            with told(one.name, where):
                compute([one.content])
        raise
