"""Interrupted fits go on to the same weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xm.foundation.events import Event
from xm.learning.checkpoint import Checkpoint
from xm.learning.loop import FitResult, fit
from xm.learning.schedule import ParameterGroup, Plan
from xm.learning.stream import Batch, Stream

STEPS = 23


class Dropping(nn.Module):
    """Two layers with dropout, so that the random state matters."""

    average: Tensor

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        transposed = torch.randn(self.first.weight.shape[::-1], generator=generator).T
        self.first.weight.data = transposed  # AdamW's moments are in the same order in memory
        self.register_buffer("average", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = torch.nn.functional.dropout(self.first(x).relu(), 0.3, self.training)
        logits: Tensor = self.second(hidden)
        return logits


@pytest.fixture
def streams() -> dict[str, Stream]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: Stream(
            name,
            {"x": torch.randn(size, 6, generator=generator)},
            torch.randint(3, (size,), generator=generator),
        )
        for name, size in (("image", 13), ("text", 7))
    }


def loss(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    return {name: nn.functional.cross_entropy(model(stream.x["x"]), stream.labels) for name, stream in batch.items()}


def average(model: nn.Module, step: int) -> None:
    assert isinstance(model, Dropping)
    model.average.lerp_(model.second.bias, 1 / (step + 1))


def fitted(
    streams: Mapping[str, Stream], checkpoint: Checkpoint | None = None, stop: int | None = None, **more: Any
) -> tuple[nn.Module, FitResult]:
    """A model after the whole plan; or the interruption at the evaluation of step `stop`."""
    model = Dropping()
    if more.pop("grouped", False):
        parts = (model.second.bias, 3.0, 0.0), (model.first.weight, 0.1, None)
        more["groups"] = [ParameterGroup([parameter], scale, decay) for parameter, scale, decay in parts]

    def listen(event: Event) -> None:
        if event.kind == "step" and event.data["step"] == stop:
            raise KeyboardInterrupt

    def score() -> float:
        with torch.no_grad():
            return -float(sum(loss(model, streams).values()))

    plan = Plan({"image": 0.5, "text": 0.5}, steps=STEPS, batch_size=4, eval_every=1, lr=0.05, warmup=3, seed=5)
    plan = replace(plan, **{name: more.pop(name) for name in ("keep", "schedule", "betas") if name in more})
    return model, fit(model, loss, streams, plan, score=score, on_event=listen, checkpoint=checkpoint, **more)


@pytest.mark.parametrize("stop", range(1, STEPS))
def test_an_interrupted_fit_ends_as_an_uninterrupted_one(streams: dict[str, Stream], tmp_path: Path, stop: int) -> None:
    """Bit-equal, wherever it stops, and however many steps lie between two checkpoints."""
    whole, expected = fitted(streams)
    for every in (1, 4):
        checkpoint = Checkpoint(tmp_path / f"{every}.safetensors", every)
        with pytest.raises(KeyboardInterrupt):
            fitted(streams, checkpoint, stop)
        assert checkpoint.path.exists() == (stop >= every)
        model, result = fitted(streams, checkpoint)
        assert result == expected
        for name, value in whole.state_dict().items():
            assert torch.equal(model.state_dict()[name], value), name
        assert not list(tmp_path.iterdir()), "the checkpoint of a finished fit stays"


def test_interrupted_twice(streams: dict[str, Stream], tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "fit.safetensors", 5)
    for stop in (7, 16):
        with pytest.raises(KeyboardInterrupt):
            fitted(streams, checkpoint, stop)
    model, result = fitted(streams, checkpoint)
    whole, expected = fitted(streams)
    assert result == expected
    assert all(torch.equal(model.state_dict()[name], value) for name, value in whole.state_dict().items())


@pytest.mark.parametrize("keep", ("best", "last"))
@pytest.mark.parametrize("stop", (1, 7, 22))
def test_so_it_does_with_groups_and_averages(streams: dict[str, Stream], tmp_path: Path, stop: int, keep: str) -> None:
    given = {"grouped": True, "stepped": average, "keep": keep, "schedule": "linear", "betas": (0.5, 0.9)}
    whole, expected = fitted(streams, **given)
    checkpoint = Checkpoint(tmp_path / "fit.safetensors", 3)
    with pytest.raises(KeyboardInterrupt):
        fitted(streams, checkpoint, stop, **given)
    model, result = fitted(streams, checkpoint, **given)
    assert result == expected
    assert all(torch.equal(model.state_dict()[name], value) for name, value in whole.state_dict().items())
    assert float(whole.get_buffer("average").abs().max()) > 0


def test_a_damaged_checkpoint_is_reported_and_the_fit_starts_anew(
    streams: dict[str, Stream], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = Checkpoint(tmp_path / "fit.safetensors")
    checkpoint.path.write_bytes(b"half a fi")
    with caplog.at_level(logging.WARNING):
        _, result = fitted(streams, checkpoint)
    assert "is damaged; starting anew" in caplog.text
    assert result == fitted(streams)[1]


def test_parts_have_files_of_their_own(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "align.safetensors", 7)
    assert checkpoint.part("audio") == Checkpoint(tmp_path / "align-audio.safetensors", 7)
    assert checkpoint.read() is None
    checkpoint.write({"x": torch.arange(3)}, {"step": 2})
    found = checkpoint.read()
    assert found is not None
    tensors, values = found
    assert torch.equal(tensors["x"], torch.arange(3))
    assert values == {"step": 2}
    checkpoint.remove()
    checkpoint.remove()
    assert not list(tmp_path.iterdir())
