"""Devices and precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from xm.errors import UsageError, unknown

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
