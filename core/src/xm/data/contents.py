"""What samples hold, told by content: whether data are still those of before, and what is there twice."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

from xm.data.content import content_key, item_name
from xm.data.member import File
from xm.data.task import Task
from xm.data.types import Sample
from xm.foundation.errors import ItemError

UNREADABLE = "unreadable"


class Contents:
    """The content keys of items, each read once, until its file changes."""

    def __init__(self) -> None:
        self._keys: dict[Hashable, tuple[Any, str]] = {}

    def key(self, item: Any) -> str:
        """`content_key` of the item.

        Raises:
            ItemError: for a file that can't be read.
        """
        place = _place(item)
        if place not in self._keys:
            self._keys[place] = (item, content_key(item))  # with the item, so that no other takes its identity
        return self._keys[place][1]

    def of(self, samples: Iterable[Sample]) -> str:
        """32 hex digits over what samples hold and how they are labelled, in any order."""
        lines = sorted(f"{sample.label} {self._readable(sample.item)}\n" for sample in samples)
        return hashlib.blake2b("".join(lines).encode(), digest_size=16).hexdigest()

    def of_tasks(self, tasks: Mapping[tuple[int, int], Task]) -> dict[str, str]:
        """All that each task has, by "shots-1/seed-1"."""
        return {
            f"shots-{shots}/seed-{seed}": self.of(
                sample for parts in task.samples.values() for samples in parts.values() for sample in samples
            )
            for (shots, seed), task in tasks.items()
        }

    def twice(self, tasks: Iterable[Task]) -> str:
        """In words, how many items of test are, byte for byte, in train or val too; "" if none is."""
        found: dict[str, None] = {}
        for task in tasks:
            learned = (*task.samples["train"][task.target], *task.samples["val"][task.target])
            known = {self._readable(sample.item) for sample in learned} - {UNREADABLE}
            found |= {item_name(s.item): None for s in task.test if self._readable(s.item) in known}
        if not found:
            return ""
        count = "1 item of test is" if len(found) == 1 else f"{len(found)} items of test are"
        return f"{count} in train or val too, byte for byte ({next(iter(found))}); it says nothing of new items"

    def _readable(self, item: Any) -> str:
        try:
            return self.key(item)
        except ItemError:
            return UNREADABLE


def stamp(item: Any) -> str:
    """What tells whether an item is still what it was, without reading it: a file's path, size and time of change.

    A text is its own stamp; all else is told by content.
    """
    if isinstance(item, File):
        try:
            found = (item if isinstance(item, Path) else item.path).stat()
        except OSError:
            return f"{item} missing"
        return f"{item} {found.st_size} {found.st_mtime_ns}"
    return f"{len(item)} {item}" if isinstance(item, str) else content_key(item)


def _place(item: Any) -> Hashable:
    if isinstance(item, Path):
        try:
            found = item.stat()
        except OSError:
            return item
        return item, found.st_mtime_ns, found.st_size
    return id(item)
