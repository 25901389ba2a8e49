"""Tiny SigLIP and CLAP in trainings, as target and as auxiliary, frozen and opened; the network refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from xm import load, train
from xm.plugins import manager

Tiny = Callable[[str], Path]
RATE = 16_000
FEW: dict[str, Any] = {"device": "cpu", "shots": (2,), "seeds": (1,), "baselines": False, "listener": lambda _: None}
SHORT = {"lr": [1e-3], "weight_decay": [0.0], "steps": 4, "eval_every": 2}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("the network is refused here")

    monkeypatch.setattr("socket.socket.connect", refuse)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and blue pictures, low and high tones, and texts of both; eight of each."""
    root = tmp_path_factory.mktemp("data")
    for name, channel, pitch in (("red", 0, 300), ("blue", 2, 3000)):
        for modality in ("image", "audio", "text"):
            (root / modality / name).mkdir(parents=True)
        for i in range(8):
            rng = np.random.default_rng(10 * channel + i)
            pixels = rng.integers(0, 60, (32, 32, 3)).astype(np.uint8)
            pixels[:, :, channel] += 150
            Image.fromarray(pixels).save(root / "image" / name / f"{i}.png")
            tone = 0.3 * np.sin(2 * np.pi * (pitch + 5 * i) * np.arange(RATE // 2) / RATE)
            soundfile.write(root / "audio" / name / f"{i}.wav", tone, RATE)
            words = ["a photo of", "the sound of", "picture", "it is"]
            (root / "text" / name / f"{i}.txt").write_text(f"{words[i % 4]} {name} and {'a' if i < 4 else 'the'} X")
    return root


def trained(tmp_path: Path, data: Path, target: str, encoder: str, strategy: str = "linear", **settings: Any) -> Any:
    if strategy not in manager().strategies:
        pytest.skip(f"the strategy {strategy} is not installed")
    given = {**FEW, "data": str(data), "encoders": {target: encoder}, "strategy": strategy, "cache": tmp_path / "cache"}
    return train(target, **{**given, "out": tmp_path / "run", **settings})


@pytest.mark.parametrize(
    ("target", "aux", "model"),
    [("image", "text", "siglip"), ("text", "image", "siglip"), ("audio", "text", "clap"), ("text", "audio", "clap")],
)
def test_targets_and_auxiliaries(tiny: Tiny, tmp_path: Path, data: Path, target: str, aux: str, model: str) -> None:
    name = "transformers" if target == "image" else f"transformers-{target}"
    report = trained(tmp_path, data, target, f"{name}:{tiny(model)}", aux=(aux,))
    assert {row.aux for row in report.results} == {(), (aux,)}
    assert all(0 <= row.value <= 1 for row in report.results)
    suffix = {"image": "png", "text": "txt", "audio": "wav"}[target]
    (answer,) = load(tmp_path / "run").predict([data / target / "red" / f"7.{suffix}"])
    assert answer.label in ("red", "blue")


@pytest.mark.parametrize("depth", [1, -1])
@pytest.mark.parametrize(("target", "model"), [("image", "siglip"), ("audio", "clap")])
def test_opened(tiny: Tiny, tmp_path: Path, data: Path, target: str, model: str, depth: int) -> None:
    name = "transformers" if target == "image" else f"transformers-{target}"
    given = {**SHORT, "depth": depth, "aux_depth": depth}
    report = trained(tmp_path, data, target, f"{name}:{tiny(model)}", "partial", aux=("text",), set=given)
    assert all(0 <= row.value <= 1 for row in report.results)
    files = sorted((data / target).glob("*/7.*"))
    assert len(load(tmp_path / "run").predict(files)) == 2


@pytest.mark.parametrize("model", ["siglip", "clip"])
def test_prompts_are_learned(tiny: Tiny, tmp_path: Path, data: Path, model: str) -> None:
    given = {"steps": 3, "n_ctx": 2}
    report = trained(tmp_path, data, "image", f"transformers:{tiny(model)}", "coop", aux=("text",), set=given)
    assert all(0 <= row.value <= 1 for row in report.results)


def test_adapters(tiny: Tiny, tmp_path: Path, data: Path) -> None:
    given = {"steps_per_shot": 2}
    report = trained(tmp_path, data, "image", f"transformers:{tiny('clip')}", "lora", aux=("text",), set=given)
    assert all(0 <= row.value <= 1 for row in report.results)
