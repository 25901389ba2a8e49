"""Batches from several streams, each with its share of every batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import torch

from xm.foundation.errors import UsageError
from xm.learning.stream import Batch, Stream

AUXILIARY = 0.5
"""The share of all auxiliary streams together."""


def shares_of(
    streams: Mapping[str, Stream], target: str, auxiliary: float | Mapping[str, float] = AUXILIARY
) -> dict[str, float]:
    """The share of each stream in a batch, summing to 1.

    The auxiliary streams divide `auxiliary` among them equally; the target has the rest (half and half in Lin et al.,
    CVPR 2023, section 4). With one side only, it has everything. Where shares are given by name, a stream that is not
    named has its part of a half.

    Raises:
        UsageError: if nothing is left for the target.
    """
    others = [name for name in streams if name != target]
    if isinstance(auxiliary, Mapping):
        shares = {name: auxiliary.get(name, AUXILIARY / len(others)) for name in others}
    else:
        shares = {name: auxiliary / len(others) for name in others}
    rest = 1 - sum(shares.values())
    if target in streams:
        if rest <= 0:
            told = ", ".join(f"{name} {share:g}" for name, share in shares.items())
            raise UsageError(f"share: nothing is left for {target} ({told}); auxiliary shares must sum to less than 1")
        return {target: rest, **shares}
    return {name: share / (1 - rest) for name, share in shares.items()}


def batch_counts(shares: Mapping[str, float], batch_size: int) -> dict[str, int]:
    """How many samples each stream gives to a batch; they sum to `batch_size`.

    Fractions go down, except that every stream gives one at least, for which the largest makes room; the first stream
    has what remains.

    Raises:
        UsageError: if the batch is smaller than the number of streams.
    """
    if batch_size < len(shares):
        raise UsageError(f"batch_size={batch_size} is too small for {len(shares)} streams")
    first, *others = shares
    counts = {name: max(1, int(batch_size * shares[name])) for name in others}
    while sum(counts.values()) >= batch_size:
        counts[max(counts, key=counts.__getitem__)] -= 1
    return {first: batch_size - sum(counts.values()), **counts}


def batches(
    streams: Mapping[str, Stream], counts: Mapping[str, int], generator: torch.Generator, start: int = 0
) -> Iterator[Batch]:
    """Endless batches of the samples that `batch_rows` draws, from batch number `start` on."""
    for rows in itertools.islice(batch_rows(streams, counts, generator), start, None):
        yield {name: streams[name][drawn] for name, drawn in rows.items()}


def batch_rows(
    streams: Mapping[str, Stream], counts: Mapping[str, int], generator: torch.Generator
) -> Iterator[dict[str, torch.Tensor]]:
    """Endless draws. Each stream is shuffled anew for every pass of its own, incomplete rests are dropped.

    A stream with fewer samples than its count gives all of them each time.
    """
    rows = {name: _rows(len(streams[name]), counts[name], generator) for name in counts}
    while True:
        yield {name: next(rows[name]) for name in counts}


def _rows(size: int, count: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    if count >= size:
        while True:
            yield torch.arange(size)
    while True:
        order = torch.randperm(size, generator=generator)
        for start in range(0, size - count + 1, count):
            yield order[start : start + count]
