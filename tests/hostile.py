"""What may stand in place of good files: for tests that damage what xm wrote."""

from __future__ import annotations

import copy
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

VALUES = (
    None,
    True,
    -1,
    0,
    10**20,
    0.5,
    float("nan"),
    "",
    "x",
    "../../..",
    "/etc/passwd",
    "\0",
    "a" * 5000,
    [],
    [[]],
    {},
)
"""What a value of JSON may become."""


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Ways to each value in JSON, but for the whole."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, found in inside:
        yield (*at, key)
        yield from places(found, (*at, key))


def changed(value: Any) -> st.SearchStrategy[Any]:
    """JSON with a value that is another, or gone."""
    every = list(places(value))

    @st.composite
    def draw_one(draw: st.DrawFn) -> Any:
        *above, last = draw(st.sampled_from(every))
        found = copy.deepcopy(value)
        holder = found
        for key in above:
            holder = holder[key]
        if draw(st.integers(0, 4)) == 0:
            del holder[last]
        else:
            holder[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        return found

    return draw_one()


def nested(path: Path) -> None:
    """JSON so deep that parsers give up."""
    path.write_text("[" * 100_000 + "]" * 100_000)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def link_out(path: Path) -> None:
    """The same content, outside."""
    outside = Path(tempfile.mkdtemp()) / path.name
    shutil.move(path, outside)
    path.symlink_to(outside)


FILES: tuple[Callable[[Path], None], ...] = (nested, cut, noise, pipe, folder, loop)
"""What may become of any file."""


def _changed(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        save_file({name: change(value).contiguous() for name, value in load_file(path).items()}, path)

    return apply


def nan(value: torch.Tensor) -> torch.Tensor:
    return torch.full_like(value, torch.nan) if value.is_floating_point() else value


def wider(value: torch.Tensor) -> torch.Tensor:
    return torch.cat([value, value], dim=-1) if value.ndim else value[None]


def longer(value: torch.Tensor) -> torch.Tensor:
    return torch.cat([value, value]) if value.ndim else value[None]


def flat(value: torch.Tensor) -> torch.Tensor:
    return value.flatten()


def empty(value: torch.Tensor) -> torch.Tensor:
    return value.flatten()[:0]


def whole(value: torch.Tensor) -> torch.Tensor:
    return value.nan_to_num().long()


def huge(value: torch.Tensor) -> torch.Tensor:
    return torch.full_like(value, torch.inf) if value.is_floating_point() else value


def renamed(path: Path) -> None:
    save_file({f"other.{name}": value for name, value in load_file(path).items()}, path)


TENSORS: dict[str, Callable[[Path], None]] = {
    change.__name__: _changed(change) for change in (nan, wider, longer, flat, empty, whole, huge)
} | {"renamed": renamed}
"""What may become of a file of tensors, which still is one."""


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
