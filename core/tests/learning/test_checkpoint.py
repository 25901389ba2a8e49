"""Interrupted fits go on to the same weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from xm.foundation.events import Event
from xm.learning.checkpoint import Checkpoint
from xm.learning.loop import FitResult, Plan, fit
from xm.learning.stream import Batch, Stream

STEPS = 23


class Dropping(nn.Module):
    """Two layers with dropout, so that the random state matters."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        transposed = torch.randn(self.first.weight.shape[::-1], generator=generator).T
        self.first.weight.data = transposed  # AdamW's moments are in the same order in memory

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


def fitted(
    streams: Mapping[str, Stream], checkpoint: Checkpoint | None = None, stop: int | None = None
) -> tuple[nn.Module, FitResult]:
    """A model after the whole plan; or the interruption at the evaluation of step `stop`."""
    model = Dropping()

    def listen(event: Event) -> None:
        if event.kind == "step" and event.data["step"] == stop:
            raise KeyboardInterrupt

    def score() -> float:
        with torch.no_grad():
            return -float(sum(loss(model, streams).values()))

    plan = Plan({"image": 0.5, "text": 0.5}, steps=STEPS, batch_size=4, eval_every=1, lr=0.05, warmup=3, seed=5)
    return model, fit(model, loss, streams, plan, score=score, on_event=listen, checkpoint=checkpoint)


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
