"""Weights and sounds that every machine draws alike, so that networks are compared without shipping weights."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import numpy as np
import pytest
import torch
from torch import Tensor

State = dict[str, Tensor]

TINY_AUDIO: dict[str, Any] = {
    "blocks": [1, 1, 1, 1],
    "groups": 2,
    "group_width": 2,
    "dim": 24,
    "bins": 33,
    "window": 48,
}
TINY_VISION: dict[str, Any] = {"layers": [1, 1, 1, 1], "width": 8, "image_size": 64}
TINY_TEXT: dict[str, Any] = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}


def draw_weights(shapes: Mapping[str, tuple[int, ...]]) -> State:
    """Values for a state dict: uniform draws by each key's name, in a range that keeps activations moderate."""
    return {key: _value(key, shape) for key, shape in shapes.items()}


def _value(key: str, shape: tuple[int, ...]) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1)
    draw = np.random.default_rng(zlib.crc32(key.encode())).random(shape, dtype=np.float32)
    kind = key.rpartition(".")[2]
    made: Any = 0.2 * draw - 0.1
    if kind == "window":  # Hann's
        made = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(*shape) / shape[0])
    elif key.endswith("fbsp.m"):
        made = draw
    elif key.endswith("fbsp.fc"):
        made = np.arange(*shape) + draw
    elif key == "audio.bn1.running_mean":
        made = 20 * draw - 10
    elif key == "audio.bn1.running_var":
        made = 400 * (0.5 + draw)
    elif kind in ("running_var", "fb") or (kind == "weight" and len(shape) == 1):  # of normalisation
        made = (0.5 + draw) * (0.4 if "bn3" in key else 1)  # so that residuals don't pile up
    elif kind == "weight":
        made = (2 * draw - 1) * np.sqrt(6 / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(made, dtype=np.float32))


def draw_sound(seed: int, samples: int, rate: int = 44_100) -> Tensor:
    """A tone that rises, in noise: (samples,) within -1 to 1."""
    t = np.arange(samples) / rate
    noise = np.random.default_rng(seed).random(samples) - 0.5
    made = 0.3 * np.sin(2 * np.pi * (200 * (seed + 1) + 300 * t) * t) + 0.2 * (seed + 1) * noise
    return torch.from_numpy(made.astype(np.float32))


def draw_pixels(n: int, size: int) -> Tensor:
    """(n, 3, size, size): noise, each time stronger and over a brighter ground."""
    draw = np.random.default_rng(5).random((n, 3, size, size), dtype=np.float32)
    strength = np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1)
    return torch.from_numpy(draw * (strength + 0.5) - 1)


@pytest.fixture(scope="session")
def official() -> dict[str, Any]:
    """Names and shapes of the official network's weights, and its outputs.

    Made with github.com/AndreyGuzhov/AudioCLIP, commit 45327aa, on PyTorch 2.14, with what this page draws.
    """
    with np.load(Path(__file__).with_name("audioclip_official.npz")) as file:
        return dict(file)


@pytest.fixture(scope="session")
def weights_of() -> Callable[[Mapping[str, tuple[int, ...]]], State]:
    return draw_weights


@pytest.fixture(scope="session")
def official_sounds() -> Tensor:
    """The sounds (4, 66150) of which `official` holds embeddings."""
    return torch.stack([draw_sound(i, 66_150) for i in range(4)])


@pytest.fixture(scope="session")
def official_pixels() -> Tensor:
    """The images (3, 3, 64, 64) of which `official` holds embeddings."""
    return draw_pixels(3, 64)


@pytest.fixture(scope="session")
def state() -> State:
    """A tiny checkpoint in the published layout."""
    import open_clip  # type: ignore[import-untyped]

    from xm_audioclip.network import AudioTower

    audio = AudioTower(**TINY_AUDIO).state_dict()
    clip = open_clip.CLIP(TINY_AUDIO["dim"], TINY_VISION, TINY_TEXT, quick_gelu=True).state_dict()
    shapes = {f"audio.{key}": tuple(value.shape) for key, value in audio.items()}
    shapes |= {key: tuple(value.shape) for key, value in clip.items()}
    return draw_weights(shapes | {"logit_scale_ai": (), "logit_scale_at": ()})


@pytest.fixture(scope="session")
def save(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    def make(content: Any) -> Path:
        path = tmp_path_factory.mktemp("checkpoint") / "AudioCLIP-Tiny.pt"
        torch.save(content, path)
        return path

    return make


@pytest.fixture(scope="session")
def checkpoint(state: State, save: Callable[[Any], Path]) -> Path:
    return save(state)


@pytest.fixture(scope="session")
def sounds() -> list[tuple[Any, int]]:
    """Four sounds of a second or two, as arrays with their rate."""
    return [(draw_sound(i, 44_100 + 20_000 * i).numpy(), 44_100) for i in range(4)]
