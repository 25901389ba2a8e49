"""Videos are read ahead, in threads, by all encoders of this plugin."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xm import Encoder, Preparing
from xm.encoders import encode
from xm.plugins import manager

WAIT = 20
"""Seconds after which what should happen at once did not."""
ENCODERS = [
    f"{name}:{below}"
    for name, lower in (
        ("frames", ("hues?n=2", "hues-ahead?n=2")),
        ("temporal", ("hues?n=2", "hues-ahead?n=2&layers=2")),
        ("track", ("pitch", "pitch-ahead")),
        ("track-audio", ("pitch", "pitch-ahead")),
    )
    for below in lower
]


@pytest.fixture
def items(tmp_path: Path, toys: Any) -> list[Path]:
    """Nine videos of other colours, lengths and tones."""
    made = []
    for i in range(9):
        colours = [toys.shade((toys.RED, toys.GREEN, toys.BLUE)[i % 3], i)] * (5 + i)
        made.append(toys.write(tmp_path / f"{i}.mp4", colours, tone=300 + 100 * i))
    return made


def reading(reference: str) -> tuple[Encoder, Preparing]:
    """An encoder, and the one of it that reads."""
    name, _, argument = reference.partition(":")
    encoder: Encoder = manager().encoders.find(name).load()(argument)
    reader = getattr(encoder, "base", encoder)
    assert isinstance(reader, Preparing)
    return encoder, reader


def rows(encoder: Encoder, items: Sequence[Any], depth: int = 0) -> dict[str, Tensor]:
    """Trunk outputs by the pipeline, in order."""
    found: dict[int, dict[str, Tensor]] = {}
    for part in encode(encoder, items, depth, workers=3):
        assert not part.failed
        found |= {row: {name: value[i] for name, value in part.x.items()} for i, row in enumerate(part.rows)}
    return {name: torch.stack([found[i][name] for i in range(len(items))]) for name in found[0]}


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("reference", ENCODERS)
def test_results_are_those_of_one_item_at_a_time(reference: str, depth: int, items: list[Path]) -> None:
    if depth and reference.startswith("frames"):
        pytest.skip("frames has no other depth")
    encoder, _ = reading(reference)
    trunk = reading(reference)[0].split(depth)[0]
    found = rows(encoder, items, depth)
    alone = [trunk([item]) for item in items]
    assert set(found) == set(alone[0])
    for name, value in found.items():
        torch.testing.assert_close(value, torch.cat([one[name] for one in alone]), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("reference", ENCODERS)
def test_several_threads_read_while_one_computes(reference: str, items: list[Path]) -> None:
    """The second and the third video wait for each other; the first batch waits for what comes after it."""
    encoder, reader = reading(reference)
    prepare, compute = reader.prepare, reader.opened(getattr(encoder, "depth", 0))[0]
    reader.batch_size = 2
    together, later, readers = threading.Barrier(2), threading.Event(), set()

    def prepared(item: Any) -> Any:
        readers.add(threading.get_ident())
        if item in items[1:3]:
            together.wait(WAIT)
        found = prepare(item)
        if item == items[3]:
            later.set()
        return found

    def computed(ready: Sequence[Any]) -> Any:
        assert threading.current_thread() is threading.main_thread()
        assert later.wait(WAIT), "nothing was read ahead"
        return compute(ready)

    reader.prepare = prepared  # type: ignore[method-assign]
    reader.opened = lambda depth: (computed, torch.nn.Identity())  # type: ignore[method-assign]
    assert sum(len(part.rows) for part in encode(encoder, items, workers=2)) == len(items)
    assert len(readers) > 1


def test_what_is_held_are_prepared_frames(items: list[Path], toys: Any) -> None:
    """Not the decoded ones, which are a hundred times as large."""
    held = manager().encoders.find("frames").load()("hues-ahead?n=2").prepare(items[0])
    assert [set(frame) for frame in held.content] == [{"features", "scores"}] * 2
    assert all(isinstance(value, Tensor) and value.numel() < 10 for frame in held.content for value in frame.values())
