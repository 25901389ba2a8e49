"""Checks that several suites share."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xm.foundation.errors import UsageError
from xm.foundation.files import read_tensors, write_tensors
from xm.learning.stream import Reading
from xm.plugins.config import Configurable
from xm.plugins.plugin_manager import manager

HEAVY = ("torch", "numpy", "pydantic", "transformers", "open_clip", "onnxruntime", "sklearn")
"""What registering must not import."""


def registers_lazily(registry: str, name: str) -> None:
    """The plugin manager knows the name in a registry ("encoders"), and knowing it imports nothing heavy.

    A single-file plugin is imported when it is named, classes and all, so of one this is not asked.
    """
    owner = getattr(manager(), registry).plugin_of.get(name)
    file = next((plugin.file for plugin in manager().plugins() if plugin.name == owner), "")
    if file:
        pytest.skip(f"{name} comes from the single file {file}, which is loaded when it is named")
    code = (
        "import sys; from xm.plugins.plugin_manager import manager; getattr(manager(), sys.argv[1]).find(sys.argv[2]); "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, registry, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]", f"registering imports {done.stdout.strip()}"


def refuse_connections(monkeypatch: Any) -> None:
    """From now on a connection is a failure."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def explains_settings(configurable: type[Configurable]) -> None:
    """Every setting has a default and a description, and an unknown one is refused in a line."""
    fields = configurable.config_type.model_fields
    for name, field in fields.items():
        assert not field.is_required(), f"setting {name!r} has no default"
        assert field.description, f"setting {name!r} has no description"
    for name in fields or ("any",):
        with pytest.raises(UsageError) as caught:
            configurable({f"{name}x": 1})
        said = one_line(caught.value)
        assert repr(f"{name}x") in said, "the error does not name what was given"
        assert not fields or repr(name) in said, f"the error does not name the nearest setting, {name!r}"


def sound_readings(ask: Callable[[], Mapping[str, Reading]]) -> None:
    """Readings by name, the same each time they are asked for."""
    readings = dict(ask())
    assert all(isinstance(name, str) for name in readings), f"names of readings: {list(readings)}"
    assert all(isinstance(one, Reading) for one in readings.values()), f"no readings: {readings}"
    assert dict(ask()) == readings, "other readings each time"


def one_line(error: BaseException) -> str:
    """The error's message, which must be a single line."""
    said = str(error)
    assert said and "\n" not in said, f"not one line: {said!r}"
    return said


@contextmanager
def leaves_the_process_alone() -> Iterator[None]:
    """Random states, default type, threads and gradient mode are after the block as they were before."""
    before = _state()
    yield
    changed = [name for name, value in _state().items() if value != before[name]]
    assert not changed, f"changed for the whole process: {', '.join(changed)}"


def _state() -> dict[str, object]:
    import numpy as np

    return {
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "numpy's random state": repr(np.random.get_state()),  # noqa: NPY002 - the legacy state is what leaks
        "random's state": random.getstate(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's threads": torch.get_num_threads(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def through_file(tensors: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """The tensors, written and read again as a run does."""
    path = folder / "tensors.safetensors"
    write_tensors(path, tensors)
    return read_tensors(path)


def equal_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether names and values are exactly equal."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
