"""A CLIP of 3.4 million parameters: two blocks of width 64 a tower, 32x32 pixels."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import numpy as np
import open_clip  # type: ignore[import-untyped]
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

CONFIG: dict[str, Any] = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
NAME = "xm-openclip-tiny"

MakeFolder = Callable[..., Path]


@pytest.fixture
def config() -> dict[str, Any]:
    return deepcopy(CONFIG)


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny configuration, known to open_clip by name."""
    folder = tmp_path_factory.mktemp("configs")
    for name, extra in ((NAME, {}), (f"{NAME}-quickgelu", {"quick_gelu": True})):
        (folder / f"{name}.json").write_text(json.dumps(CONFIG | extra))
        open_clip.add_model_config(folder / f"{name}.json")
    return NAME


@pytest.fixture(scope="session")
def state(registered: str) -> dict[str, torch.Tensor]:
    """Weights of the tiny model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = open_clip.create_model(registered)
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory: pytest.TempPathFactory, state: dict[str, torch.Tensor]) -> MakeFolder:
    """Writes a folder for `local-dir:`: a configuration and weights."""

    def make(
        config: dict[str, Any] = CONFIG,
        weights: dict[str, torch.Tensor] | None = None,
        preprocess: dict[str, Any] | None = None,
    ) -> Path:
        folder = tmp_path_factory.mktemp("local")
        content = {"model_cfg": config, "preprocess_cfg": preprocess or {}}
        (folder / "open_clip_config.json").write_text(json.dumps(content))
        save_file(weights or state, folder / "open_clip_model.safetensors")
        return folder

    return make


@pytest.fixture(scope="session")
def folder(make_folder: MakeFolder) -> Path:
    return make_folder()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of several formats, sizes and modes."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    paths = []
    for name, shape in (
        ("a.png", (40, 64, 3)),
        ("b.jpg", (64, 40, 3)),
        ("c.bmp", (32, 32)),
        ("d.png", (50, 33, 4)),
    ):
        image = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
        image.save(folder / name)
        paths.append(folder / name)
    return paths


@pytest.fixture
def texts() -> list[str]:
    return [
        "a photo of a dog.",
        "rain",
        "the sea at night, in a storm, with waves and a ship and a bell and birds above",
    ]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hugging Face hub."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def as_hub(hub: Path) -> Callable[..., str]:
    """Puts a `local-dir:` folder into the cache as a repository; returns its weights' SHA-256."""

    def put(repo: str, folder: Path) -> str:
        root = hub / f"models--{repo.replace('/', '--')}"
        snapshot = root / "snapshots" / "c0ffee"
        for path in (snapshot, root / "blobs", root / "refs"):
            path.mkdir(parents=True)
        (root / "refs" / "main").write_text("c0ffee")
        (snapshot / "open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
        weights = (folder / "open_clip_model.safetensors").read_bytes()
        digest = hashlib.sha256(weights).hexdigest()
        (root / "blobs" / digest).write_bytes(weights)
        (snapshot / "open_clip_model.safetensors").symlink_to(f"../../blobs/{digest}")
        return digest

    return put
