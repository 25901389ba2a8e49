"""Sound and video networks in ONNX: the conformance kit, windows and spectrograms."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn.functional import normalize
from torchaudio.transforms import MelSpectrogram  # type: ignore[import-untyped]

from xm import Encoder, EncoderSpec, UsageError
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_own.onnx.encoder import Onnx

Save = Callable[..., Path]
Make = Callable[..., Any]
WAVES = {"modality": "audio", "rate": 8_000}
MEL = {"form": "log-mel", "fft": 128, "hop": 64, "mels": 8, "window": 0.1}


def wave_model(model: Make, weights: Make, *shape: int | str) -> Any:
    """Samples (n, 800), or (n, 1, 800), to "features" (n, 6)."""
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["features"])]
    return model(nodes, [("x", TensorProto.FLOAT, "n", *shape)], [("features", "n", 6)], [weights("w", 800, 6)])


def mel_model(model: Make, weights: Make, *shape: int | str) -> Any:
    """Spectrograms (n, …, frames) to the means over time, (n, bins): "features"."""
    nodes = [helper.make_node("ReduceMean", ["x"], ["mean"], axes=[len(shape)], keepdims=0)]
    nodes += [helper.make_node("Flatten", ["mean"], ["features"])]
    return model(nodes, [("x", TensorProto.FLOAT, "n", *shape)], [("features", "n", 8)], [])


class _Suite(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("onnx")

    @pytest.fixture
    def items(self, sounds: list[Any]) -> list[Any]:
        return sounds

    @pytest.fixture
    def bad_item(self, broken: Path) -> Path:
        return broken.rename(broken.with_suffix(".wav"))

    def test_says_what_it_is(self, spec: EncoderSpec, encoder: Encoder) -> None:
        assert ".wav" in encoder.suffixes and encoder.modality == "audio"


class TestWaves(_Suite):
    @pytest.fixture(autouse=True)
    def _file(self, save: Save, model: Make, weights: Make) -> None:
        self.argument = str(save(wave_model(model, weights, 1, 800), WAVES))


class TestWholeSpectrograms(_Suite):
    """Of sounds as long as they are."""

    @pytest.fixture(autouse=True)
    def _file(self, save: Save, model: Make, weights: Make) -> None:
        self.argument = str(save(mel_model(model, weights, 8, "frames"), WAVES | MEL | {"window": 0}))


def test_windows_are_averaged_by_what_they_hold(save: Save, model: Make, weights: Make) -> None:
    made = wave_model(model, weights, 800)
    w = torch.tensor(numpy_helper.to_array(made.graph.initializer[0]))
    sound = (0.3 * np.random.default_rng(2).standard_normal(1_000)).astype(np.float32)
    padded = torch.zeros(2, 800)
    padded.flatten()[:1_000] = torch.from_numpy(sound)
    vectors, shares = padded @ w, torch.tensor([0.8, 0.2])
    found = Onnx(str(save(made, WAVES))).trunk([(sound, 8_000)])["features"]
    torch.testing.assert_close(found[0], shares @ vectors)
    unit = Onnx(str(save(made, WAVES | {"normalise": True}, "unit"))).trunk([(sound, 8_000)])["features"]
    torch.testing.assert_close(unit[0], shares @ normalize(vectors, dim=1))
    crop = Onnx(str(save(made, WAVES | {"length": "crop"}, "crop"))).trunk([(sound, 8_000)])["features"]
    torch.testing.assert_close(crop[0], torch.from_numpy(sound[100:900]) @ w)


@pytest.mark.parametrize(
    ("log", "axes", "factor"),
    [("ln", "bins,frames", np.log(10)), ("db", "bins,frames", 10), ("log10", "frames,bins", 1)],
)
def test_spectrograms_are_torchaudios(
    save: Save, model: Make, weights: Make, log: str, axes: str, factor: float
) -> None:
    shape = (1, 8, "frames") if axes == "bins,frames" else (1, "frames", 8)
    made = mel_model(model, weights, *shape) if axes == "bins,frames" else mel_model(model, weights, 1, "frames", 8)
    if axes == "frames,bins":
        made.graph.node[0].attribute[0].ints[:] = [2]
    own = {"log": log, "axes": axes, "mean": -2, "std": 4, "norm": "", "scale": "htk", "offset": 1e-6}
    sound = (0.3 * np.random.default_rng(2).standard_normal(800)).astype(np.float32)
    found = Onnx(str(save(made, WAVES | MEL | own))).trunk([(sound, 8_000)])["features"]
    mel = MelSpectrogram(8_000, n_fft=128, hop_length=64, n_mels=8)(torch.from_numpy(sound))
    wanted = (((mel + 1e-6).log10() * factor + 2) / 4).mean(dim=1)
    torch.testing.assert_close(found[0], wanted.float())


def test_wrong_shapes_and_policies_are_one_line(save: Save, model: Make, weights: Make) -> None:
    with pytest.raises(UsageError, match=r"net\.json: length='cut': unknown length policy 'cut'"):
        Onnx(str(save(wave_model(model, weights, 800), WAVES | {"length": "cut"})))
    with pytest.raises(UsageError, match=r"input 'x' \(any, 800\) float32 is not \(n, bins, frames\)"):
        Onnx(str(save(wave_model(model, weights, 800), WAVES | MEL)))
    sound = (np.ones(800, dtype=np.float32), 8_000)
    with pytest.raises(UsageError, match=r"was given \(any, 4000\) by the preprocessing of net.json"):
        Onnx(str(save(wave_model(model, weights, 800), WAVES | {"window": 0.5}))).encode([sound])


class TestVideos(EncoderConformance):
    layout, shape = "NCTHW", (3, 4, 8, 8)

    @pytest.fixture(autouse=True)
    def _file(self, save: Save, model: Make, weights: Make) -> None:
        width = int(np.prod(self.shape))
        nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "v"], ["features"])]
        made = model(
            nodes, [("x", TensorProto.FLOAT, "n", *self.shape)], [("features", "n", 6)], [weights("v", width, 6)]
        )
        settings = {"modality": "video", "frames": 4, "size": 8, "layout": self.layout}
        self.argument = str(save(made, settings))

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("onnx")

    @pytest.fixture
    def items(self, tmp_path: Path) -> list[Any]:
        rng = np.random.default_rng(0)
        clips: list[Any] = [rng.integers(0, 256, (n, 20, 30, 3), dtype=np.uint8) for n in (9, 4, 2)]
        with av.open(str(tmp_path / "clip.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=Fraction(8))
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            for value in range(6):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 40 * value, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return [*clips, tmp_path / "clip.mp4"]

    @pytest.fixture
    def bad_item(self, broken: Path) -> Path:
        return broken.rename(broken.with_suffix(".mp4"))

    def test_says_what_it_is(self, spec: EncoderSpec, encoder: Encoder) -> None:
        assert ".mp4" in encoder.suffixes and encoder.modality == "video"


class TestVideosWithChannelsLast(TestVideos):
    layout, shape = "NTHWC", (4, 8, 8, 3)
