"""Tiny SigLIP, CLAP, CLIP, ViT and BERT, as the kit wants encoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from xm import EncoderSpec
from xm.plugins import manager
from xm.testing import EncoderConformance

RATE = 48_000
TEXTS = ["a photo of a cat", "the sound of a bird", "dog", "low and high, a tone and it is red"]


class _Images(EncoderConformance):
    model = ""

    @pytest.fixture(autouse=True)
    def _use(self, tiny: Callable[[str], Path]) -> None:
        self.argument = str(tiny(self.model))

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("transformers")

    @pytest.fixture
    def items(self, tmp_path: Path) -> Sequence[Any]:
        rng = np.random.default_rng(0)
        arrays = [rng.integers(0, 256, (30 + 9 * i, 50, 3)).astype(np.uint8) for i in range(3)]
        path = tmp_path / "grey.png"
        Image.fromarray(arrays[0][:, :, 0]).save(path)
        return [path, Image.fromarray(arrays[1]), arrays[2], str(path)]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        path = tmp_path / "text.png"
        path.write_text("this is no picture")
        return path


class TestSiglipImages(_Images):
    model = "siglip"


class TestNaflexImages(_Images):
    model = "siglip2"


class TestVitWithItsClasses(_Images):
    model = "vit"


class _Texts(_Images):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("transformers-text")

    @pytest.fixture
    def items(self, tmp_path: Path) -> Sequence[Any]:
        path = tmp_path / "name.txt"
        path.write_text("a cat")
        return [*TEXTS, path]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        return tmp_path / "nowhere.txt"


class TestSiglipTexts(_Texts):
    model = "siglip"


class TestClapTexts(_Texts):
    model = "clap"


class TestBertTexts(_Texts):
    model = "bert"


class TestClapSounds(_Images):
    model = "clap"

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("transformers-audio")

    @pytest.fixture
    def items(self, tmp_path: Path) -> Sequence[Any]:
        rng = np.random.default_rng(0)
        noise = [0.1 * rng.standard_normal(round(s * RATE)).astype(np.float32) for s in (0.3, 1, 2.6)]
        path = tmp_path / "noise.flac"
        soundfile.write(path, noise[0], RATE)
        return [path, (noise[1], RATE), (noise[2], RATE), (noise[1], 16_000)]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        path = tmp_path / "text.wav"
        path.write_text("this is no sound")
        return path


class TestWave(TestClapSounds):
    model = "Wav2Vec2"


class TestVideoMAE(_Images):
    model = "videomae"

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("transformers-video")

    @pytest.fixture
    def items(self) -> Sequence[Any]:
        rng = np.random.default_rng(0)
        return [rng.integers(0, 256, (n, 40, 50, 3)).astype(np.uint8) for n in (1, 5, 9)]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        path = tmp_path / "text.avi"
        path.write_text("this is no video")
        return path
