"""Image networks in ONNX: the conformance kit, preprocessing, pooling, classes, and what their files may be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from onnx import TensorProto
from PIL import Image

from xm import Encoder, EncoderSpec, UsageError
from xm.encoders import make_encoder
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_own.onnx.encoder import Onnx

Save = Callable[..., Path]
HALF = {"mean": 0.5, "std": 0.5}
SETTINGS = {"modality": "image", "size": 8, **HALF}
CLASSES = {"classes": ["a", "b", "c", "d"], "weights": "head"}


class _Suite(EncoderConformance):
    settings: dict[str, Any] = SETTINGS
    batch: int | str = "n"

    @pytest.fixture(autouse=True)
    def _file(self, save: Save, image_model: Any) -> None:
        self.argument = str(save(image_model(self.batch), self.settings))

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("onnx")

    @pytest.fixture
    def items(self, images: list[Path]) -> list[Any]:
        return [*images, str(images[0]), Image.open(images[1]), np.zeros((20, 30, 3), np.uint8)]

    @pytest.fixture
    def bad_item(self, broken: Path) -> Path:
        return broken

    def test_says_what_it_is(self, spec: EncoderSpec, encoder: Encoder) -> None:
        """What it reads is of its modality, so the spec names nothing."""
        assert spec.suffixes == () and ".png" in encoder.suffixes
        assert (encoder.modality, encoder.dim, encoder.accepts_names) == ("image", 6, False)


class TestImages(_Suite):
    pass


class TestOneByOneWithClasses(_Suite):
    batch, settings = 1, SETTINGS | CLASSES


class TestThreeAtOnce(_Suite):
    batch, settings = 3, SETTINGS | CLASSES | {"logits": "logits", "activation": "sigmoid"}


def made(path: Path) -> Onnx:
    return Onnx(str(path))


def by_hand(path: Path, pixels: Any, output: str = "features") -> torch.Tensor:
    session = onnxruntime.InferenceSession(str(path))
    found = session.run([output], {"images": np.asarray(pixels, dtype=np.float32)[None]})[0]
    return torch.from_numpy(found)


def test_pixels_are_those_of_the_settings(save: Save, image_model: Any) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    path = save(image_model(), SETTINGS)
    wanted = (picture / 255 - 0.5) / 0.5
    torch.testing.assert_close(made(path).trunk([picture])["features"], by_hand(path, wanted.transpose(2, 0, 1)))
    other = save(
        image_model(), {"modality": "image", "size": 8, "mean": [1, 2, 3], "divide": 1, "channels": "BGR"}, "b"
    )
    wanted = (picture[..., ::-1] - np.array([1, 2, 3])) / np.array([0.229, 0.224, 0.225])
    torch.testing.assert_close(made(other).trunk([picture])["features"], by_hand(other, wanted.transpose(2, 0, 1)))


def test_integers_and_half_floats_are_given_as_the_graph_takes_them(save: Save, image_model: Any) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    whole = {"modality": "image", "size": 8, "divide": 1, "mean": 0, "std": 1}
    found = [
        made(save(image_model(dtype=dtype), whole, f"d{dtype}")).trunk([picture])["features"]
        for dtype in (TensorProto.FLOAT, TensorProto.UINT8, TensorProto.FLOAT16)
    ]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@pytest.mark.parametrize(("output", "pool"), [("maps", "mean"), ("pooled", "none"), ("pooled", "mean")])
def test_maps_are_pooled(save: Save, image_model: Any, images: list[Path], output: str, pool: str) -> None:
    found = made(save(image_model(), SETTINGS | {"output": output, "pool": pool}, "m"))
    torch.testing.assert_close(found.encode(images), made(save(image_model(), SETTINGS)).encode(images))
    assert found.dim == 6


def test_classes_are_the_graphs_or_a_files(save: Save, image_model: Any, images: list[Path], tmp_path: Path) -> None:
    rows = onnx.numpy_helper.to_array(image_model().graph.initializer[1])
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "names.txt").write_text("a\nb\n\nc\nd\n")
    graph = made(save(image_model(), SETTINGS | CLASSES))
    file = made(save(image_model(), SETTINGS | {"classes": "names.txt", "weights": "rows.npy"}, "f"))
    output = made(save(image_model(), SETTINGS | CLASSES | {"logits": "logits"}, "o"))
    for encoder in (graph, file, output):
        found = encoder.prototypes()
        assert found is not None and found.names == ("a", "b", "c", "d")
        assert np.array_equal(found.weight.numpy(), rows)
        x = encoder.trunk(images)
        torch.testing.assert_close(x["scores"], (x["features"] @ found.weight.T).softmax(dim=1))
    assert set(graph.compute([])) == {"features", "scores"}
    before = file.fingerprint()
    np.save(tmp_path / "rows.npy", rows + 1)
    assert made(tmp_path / "f.onnx").fingerprint() != before


def test_external_weights_are_part_of_the_fingerprint(save: Save, image_model: Any, images: list[Path]) -> None:
    how = {"save_as_external_data": True, "location": "net.onnx.data", "size_threshold": 0}
    path = save(image_model(), SETTINGS, **how)
    encoder, data = made(path), path.parent / "net.onnx.data"
    assert encoder.pretrained()[0].paths == (path, data)
    before = encoder.fingerprint(), encoder.encode(images)
    content = bytearray(data.read_bytes())
    content[:4] = b"\0\0\x80?"
    data.write_bytes(content)
    assert made(path).fingerprint() != before[0]
    data.unlink()
    with pytest.raises(UsageError, match=r"net\.onnx: its weights are in 'net\.onnx\.data', which is not beside it"):
        made(path)


def test_the_fingerprint_is_of_what_is_said_not_how(save: Save, image_model: Any) -> None:
    path = save(image_model(), SETTINGS)
    first = made(path)
    path.with_suffix(".json").write_text(json.dumps(SETTINGS | {"layout": "NCHW", "crop": 1}, indent=4))
    assert made(path).fingerprint() == first.fingerprint() and made(path).space == first.space
    path.with_suffix(".json").write_text(json.dumps(SETTINGS | {"crop": 0.9}))
    assert made(path).fingerprint() != first.fingerprint() and made(path).space != first.space


def test_two_files_of_one_space(save: Save, image_model: Any, images: list[Path]) -> None:
    named = SETTINGS | {"space": "mine"}
    first, second = save(image_model(), named), save(image_model(1), named | {"resize": "squash"}, "second")
    encoder = make_encoder(f"mean:onnx:{first}+onnx:{second}", manager(), torch.device("cpu"), "image")
    assert encoder.space == "mine" and encoder.encode(images).shape == (4, 6)


def test_other_modalities_are_refused(save: Save, image_model: Any) -> None:
    with pytest.raises(UsageError, match="is for image, not audio"):
        make_encoder(f"onnx:{save(image_model(), SETTINGS)}", manager(), torch.device("cpu"), "audio")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"modality": "image", "sise": 8}, r"net\.json: unknown setting 'sise' \(did you mean 'size'\?\)"),
        ({"modality": "image", "size": [8, 8, 8]}, "size=.*expected one side, or height and width"),
        ({"modality": "image", "std": [0, 1, 1]}, "std=.*expected numbers above 0"),
        ({"modality": "imag"}, r"unknown modality in .*net\.json: 'imag': did you mean 'image'"),
        ({"size": 8}, 'says no "modality"; write one such as: {"modality": "image", "size": 8'),
        (SETTINGS | {"classes": ["a"]}, "says 'classes' without 'weights'"),
        (SETTINGS | {"output": "featurs"}, r"has no output 'featurs'; it has 'features' \(any, 6\) float32; 'logits'"),
        (SETTINGS | {"input": "x"}, r"has no input 'x'; it has 'images' \(any, 3, 8, 8\) float32"),
        (SETTINGS | {"output": "maps"}, r"output 'maps' is \(1, 6, 2, 2\) for 1 items, not \(n, dim\)"),
        (
            SETTINGS | {"size": 9},
            r"'images' \(any, 3, 8, 8\) float32 was given \(any, 3, 9, 9\) .* net.json; mend that",
        ),
        (SETTINGS | {"layout": "NHWC"}, r"was given \(any, 8, 8, 3\)"),
        (SETTINGS | CLASSES | {"weights": "tail"}, r"no Gemm or MatMul has weights 'tail' \(its last: head\)"),
        (SETTINGS | CLASSES | {"weights": "w.npy"}, "names 'w.npy', which is not beside it"),
        (
            SETTINGS | CLASSES | {"classes": ["a"]},
            r"weights 'head' are \(4, 6\); expected a row of 6 for each of the 1",
        ),
        (SETTINGS | CLASSES | {"logits": "features"}, r"'features' is \(1, 6\) for 1 items and 4 classes"),
        ([1], 'says no "modality"'),
    ],
)
def test_wrong_settings_are_one_line(
    save: Save, image_model: Any, images: list[Path], settings: Any, said: str
) -> None:
    path = save(image_model(), settings)
    with pytest.raises(UsageError, match=said) as caught:
        made(path).encode(images[:1])
    assert "\n" not in str(caught.value) and "net" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"hello, this is no network" * 9, b"version https://git-lfs.github.com/spec/v1"]
)
def test_files_that_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(UsageError, match=r"net\.onnx: is no ONNX file") as caught:
        made(tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)


def test_damaged_weights_and_missing_files(save: Save, image_model: Any, images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        made(tmp_path / "gone.onnx")
    with pytest.raises(UsageError, match=r"expected a file that ends in \.onnx"):
        Onnx("model.pt")
    broken = image_model()
    broken.graph.node[1].op_type = "Convolute"
    with pytest.raises(UsageError, match="ONNX Runtime can't load it") as caught:
        made(save(broken, SETTINGS)).encode(images)
    assert "\n" not in str(caught.value)
