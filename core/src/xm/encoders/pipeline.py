"""Embedding many items: they are read ahead in threads while the encoder computes, in batches of like sizes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import torch

from xm.data.content import item_name
from xm.encoders.encoder import Derived, Encoder, Preparing, Trunk
from xm.encoders.faults import refusal
from xm.encoders.soundness import checked, unsound
from xm.foundation.device import autocast, pool
from xm.foundation.errors import ItemError
from xm.learning.stream import Inputs

WINDOW = 8
"""Batches of items that are sorted by size together."""

AHEAD = 2
"""Windows that are read before they are needed: what bounds memory."""

PART = 1024
"""Rows at a time of what encoders on top of others make of kept outputs."""


@dataclass(frozen=True)
class Encoded:
    """What became of some items.

    Attributes:
        rows: their numbers, of those that could be read.
        x: trunk outputs on the CPU, a row each.
        failed: the errors of the others, by number.
    """

    rows: list[int]
    x: Inputs
    failed: dict[int, ItemError]

    def __len__(self) -> int:
        return len(self.rows) + len(self.failed)


def encode(
    encoder: Encoder, items: Sequence[Any], depth: int = 0, workers: int | None = None, precision: str = "float32"
) -> Iterator[Encoded]:
    """Trunk outputs of all items, a batch at a time, not always in order.

    Args:
        encoder: a `Preparing` one reads ahead; of another each batch is read when its turn comes.
        items: as it reads them.
        depth: of the trunk.
        workers: threads that read; None: as many as there are processors, at most 8.
        precision: "float32", "bfloat16" or "float16", of what encoders compute in PyTorch, by autocast.

    Whatever else than an `ItemError` its code raises on an item is that item's error, too.

    Raises:
        PluginError: if the encoder does not give what its contract says.
    """
    for found in _encoded(encoder, items, depth, workers, precision):
        yield _sound(found, items)


def _encoded(
    encoder: Encoder, items: Sequence[Any], depth: int, workers: int | None, precision: str
) -> Iterator[Encoded]:
    if depth == 0 and isinstance(encoder, Derived):
        for found in encode(encoder.base, items, encoder.depth, workers, precision):
            with autocast(encoder.device, precision):
                x = derived(encoder, found.x)
            yield replace(found, x=x)
        return
    if isinstance(encoder, Preparing):
        yield from _ahead(encoder, items, depth, workers or min(8, os.cpu_count() or 1), precision)
        return
    trunk = checked(encoder, depth, encoder.split(depth)[0])
    for start in range(0, len(items), encoder.batch_size):
        with autocast(encoder.device, precision):
            found = _batch(trunk, items, list(range(start, min(start + encoder.batch_size, len(items)))), items)
        yield found


def _sound(found: Encoded, items: Sequence[Any]) -> Encoded:
    """Without the rows that say nothing: these count as items that can't be read."""
    wrong = unsound(found.x)
    if not wrong:
        return found
    failed = {found.rows[i]: ItemError(item_name(items[found.rows[i]]), why) for i, why in wrong.items()}
    kept = [i for i in range(len(found.rows)) if i not in wrong]
    x = {name: value[kept] for name, value in found.x.items()} if kept else {}
    return Encoded([found.rows[i] for i in kept], x, found.failed | failed)


def derived(encoder: Derived, x: Inputs) -> Inputs:
    """What an encoder makes of its base's trunk outputs, a part of `PART` rows at a time, on the CPU."""
    size = max((len(value) for value in x.values()), default=0)
    parts: list[Inputs] = []
    with torch.no_grad():
        for start in range(0, size, PART):
            rows = {name: value[start : start + PART].to(encoder.device) for name, value in x.items()}
            parts.append(_kept(encoder.derive(rows)))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _ahead(encoder: Preparing, items: Sequence[Any], depth: int, workers: int, precision: str) -> Iterator[Encoded]:
    compute = checked(encoder, depth, encoder.opened(depth)[0])
    size = encoder.batch_size
    window = WINDOW * size if encoder.sized else size
    pending: deque[tuple[int, Future[Any]]] = deque()
    with pool(workers) as readers:
        submitted = min(1, len(items))
        if items:
            pending.append((0, _at_once(encoder, items[0])))
        while submitted < len(items) or pending:
            while submitted < len(items) and len(pending) < AHEAD * window:
                pending.append((submitted, readers.submit(encoder.prepare, items[submitted])))
                submitted += 1
            ready = [pending.popleft() for _ in range(min(window, len(pending)))]
            yield from _window(encoder, compute, items, ready, precision)


def _at_once(encoder: Preparing, item: Any) -> Future[Any]:
    """An item prepared in this thread: what an encoder loads on first use is loaded once, and here."""
    done: Future[Any] = Future()
    try:
        done.set_result(encoder.prepare(item))
    except Exception as error:  # as in the threads
        done.set_exception(error)
    return done


def _window(
    encoder: Preparing,
    compute: Trunk,
    items: Sequence[Any],
    window: list[tuple[int, Future[Any]]],
    precision: str,
) -> Iterator[Encoded]:
    """The items of a window, like sizes together."""
    ready: list[tuple[int, Any]] = []
    sizes: dict[int, Any] = {}
    failed: dict[int, ItemError] = {}
    for row, future in window:
        try:
            prepared = future.result()
            sizes[row] = encoder.size(prepared) if encoder.sized else 0
            ready.append((row, prepared))
        except Exception as error:  # an encoder may raise anything
            failed[row] = refusal(items[row], error)
    ready.sort(key=lambda pair: sizes[pair[0]])
    for start in range(0, len(ready), encoder.batch_size):
        part = dict(ready[start : start + encoder.batch_size])
        with autocast(encoder.device, precision):
            found = _batch(compute, part, list(part), items)
        yield replace(found, failed=found.failed | failed)
        failed = {}
    if failed:
        yield Encoded([], {}, failed)


def _batch(trunk: Trunk, given: Sequence[Any] | Mapping[int, Any], rows: list[int], items: Sequence[Any]) -> Encoded:
    """One batch of what the trunk is given; if one can't be read, its fellows are encoded one by one."""
    try:
        with torch.inference_mode():
            x = trunk([given[row] for row in rows])
        return Encoded(rows, _kept(x), {})
    except Exception as error:  # an encoder may raise anything
        refused = refusal(items[rows[0]], error)  # raises what is no item's
        if len(rows) == 1:
            return Encoded([], {}, {rows[0]: refused})
    parts = [_batch(trunk, given, [row], items) for row in rows]
    read = [part for part in parts if part.rows]
    x = {name: torch.cat([part.x[name] for part in read]) for name in read[0].x} if read else {}
    failed = {row: error for part in parts for row, error in part.failed.items()}
    return Encoded([row for part in read for row in part.rows], x, failed)


def _kept(x: Inputs) -> Inputs:
    """On the CPU, and free of inference mode."""
    return {name: (value.float() if value.is_floating_point() else value).cpu().clone() for name, value in x.items()}
