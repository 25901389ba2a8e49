"""Captions inside the JSON of samples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from xm.data import Member

KEYS = ("caption", "captions", "text")
"""The keys of a ``.json`` that may hold a text or a list of texts; the first with any counts."""


class Place(NamedTuple):
    """Where a caption is in a JSON object: its key, and its number if there is a list."""

    key: str
    number: int | None = None

    def __str__(self) -> str:
        return self.key if self.number is None else f"{self.key}[{self.number}]"


def caption_places(row: dict[str, Any]) -> tuple[Place, ...]:
    """Where a JSON object has captions; what is no text, or empty, is passed over."""
    for key in KEYS:
        value = row.get(key)
        texts = [(Place(key, i), text) for i, text in enumerate(value)] if isinstance(value, list) else []
        found = tuple(place for place, text in texts or [(Place(key), value)] if isinstance(text, str) and text.strip())
        if found:
            return found
    return ()


@dataclass(frozen=True, slots=True)
class Caption(Member):
    """A text inside a sample's JSON, called "0001.json#caption" or "0001.json#text[2]". Its bytes are UTF-8.

    Attributes:
        place: where it is in the JSON.
    """

    place: Place

    @classmethod
    def of(cls, table: Member, place: Place) -> Self:
        """The caption at a place of a ``.json``."""
        return cls(table.path, table.offset, table.size, f"{table.name}#{place}", place)

    def read_bytes(self) -> bytes:
        """Its bytes.

        Raises:
            OSError: as a `Member` does, and if the shard has changed and no text is there.
        """
        table = Member.read_bytes(self)
        try:
            value = json.loads(table)[self.place.key]
            text: str = value if self.place.number is None else value[self.place.number]
            return text.encode("utf-8", "replace")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise OSError("the shard has changed: no such text is there") from error
