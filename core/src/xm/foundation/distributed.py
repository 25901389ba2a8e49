"""Several processes on one job, as ``torchrun`` starts them: who one is, waiting, and sharing results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes there are; 1 without ``torchrun``."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this is the process that writes and prints."""
    return rank() == 0


def share(items: Sequence[T]) -> list[T]:
    """This process's part of the items: every `world`-th."""
    return list(items[rank() :: world()])


def barrier() -> None:
    """Wait until all processes are here."""
    if world() > 1:
        _group().barrier()


def gather(mine: T) -> list[T]:
    """What each process has, in order of ranks, on every process."""
    if world() == 1:
        return [mine]
    found: list[Any] = [None] * world()
    _group().all_gather_object(found, mine)
    return found


def close() -> None:
    """Leave the group, if it was joined."""
    import torch.distributed as dist

    if world() > 1 and dist.is_initialized():
        dist.destroy_process_group()


def _group() -> Any:
    """torch.distributed, joined: plain values go between processes, for which gloo does on any device."""
    import torch.distributed as dist

    if not dist.is_initialized():
        dist.init_process_group("gloo")
    return dist
