"""Devices, precision and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch

from xm.foundation.errors import UsageError, unknown

A = TypeVar("A")
B = TypeVar("B")

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""What a forward pass may compute in; None is the tensors' own type."""


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" is CUDA, else Apple's MPS, else the CPU.

    Raises:
        UsageError: if the device does not exist here.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator if accelerator is not None else torch.device("cpu")
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(f"device {name!r} can't be used here: {reason}; try: auto, cpu") from None


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The forward pass's precision, by torch.autocast.

    Raises:
        UsageError: for an unknown precision.
    """
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    dtype = PRECISIONS[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within, PyTorch draws by `seed`; afterwards its random state is as before."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def random_state(device: torch.device) -> torch.Tensor:
    """PyTorch's random state, the CPU's and then CUDA's, as bytes."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return torch.cat(states)


def set_random_state(state: torch.Tensor, device: torch.device) -> None:
    """Put back what `random_state` gave on a device of the same kind."""
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[size:], device)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """`n` threads for PyTorch's operations, and as many as before afterwards.

    On small tensors one is best: handing them out costs more than it gives, much more on a busy machine.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that each compute by themselves. After an interruption nobody waits for what still runs."""
    made, wait = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)), True
    try:
        yield made
    except KeyboardInterrupt:
        wait = False
        raise
    finally:
        made.shutdown(wait=wait, cancel_futures=True)


def spread(function: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """`function` of every item, in order; each of PyTorch's threads works on items of its own.

    Threads that share one operation wait for each other, which on a busy machine takes longer than a single one.
    The first error is raised.
    """
    count = torch.get_num_threads()
    with threads(1), pool(count) as workers:
        return list(workers.map(function, items))
