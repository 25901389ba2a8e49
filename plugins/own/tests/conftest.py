"""Tiny ONNX networks, written by hand, and items for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

Save = Callable[..., Path]
RATE = 8_000


def weights(name: str, *shape: int) -> Any:
    rng = np.random.default_rng(sum(map(ord, name)))
    return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)


def model(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], held: Sequence[Any]) -> Any:
    def value(name: str, *shape: int | str, kind: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, kind, list(shape))

    made = helper.make_graph(
        list(nodes),
        "tiny",
        [value(name, *shape, kind=kind) for name, kind, *shape in inputs],
        [value(name, *shape) for name, *shape in outputs],
        list(held),
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def image_model(n: int | str = "n", dtype: int = TensorProto.FLOAT, side: int | str = 8) -> Any:
    """Images (n, 3, 8, 8) to "maps" (n, 6, 2, 2), "features" (n, 6) and "logits" (n, 4)."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "kernel"], ["maps"], strides=[4, 4]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "head"], ["logits"], transB=1),
    ]
    outputs = [("features", n, 6), ("logits", n, 4), ("maps", n, 6, 2, 2), ("pooled", n, 6, 1, 1)]
    held = [weights("kernel", 6, 3, 4, 4), weights("head", 4, 6)]
    return model(nodes, [("images", dtype, n, 3, side, side)], outputs, held)


def text_model(length: int | str = "length", masked: bool = True, dtype: int = TensorProto.INT64) -> Any:
    """Token numbers (n, length) to "tokens" (n, length, 6)."""
    nodes = [helper.make_node("Gather", ["words", "input_ids"], ["tokens"], axis=0)]
    inputs = [("input_ids", dtype, "n", length)]
    if masked:
        inputs += [(name, dtype, "n", length) for name in ("attention_mask", "token_type_ids")]
    return model(nodes, inputs, [("tokens", "n", length, 6)], [weights("words", 40, 6)])


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a model and its settings; returns the file."""

    def write(made: Any, settings: dict[str, Any] | None, name: str = "net", **how: Any) -> Path:
        path = tmp_path / f"{name}.onnx"
        onnx.save(made, path, **how)
        if settings is not None:
            path.with_suffix(".json").write_text(json.dumps(settings))
        return path

    return write


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, shape in zip(paths, ((20, 30, 3), (30, 20, 3), (16, 16), (9, 9, 4)), strict=True):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
    return paths


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.png"
    path.write_bytes(b"no image")
    return path


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """Words to numbers, "[UNK]" is 1."""
    words = ["[PAD]", "[UNK]", *["the", "a", "cat", "dog", "sits", "on", "mat", "of", "red", "green", "blue"]]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    return path


@pytest.fixture
def sounds() -> list[Any]:
    rng = np.random.default_rng(1)
    return [((0.2 * rng.standard_normal(n)).astype(np.float32), RATE) for n in (3_000, 800, 500, 1_601)]


@pytest.fixture(name="image_model")
def _image_model() -> Callable[..., Any]:
    return image_model


@pytest.fixture(name="text_model")
def _text_model() -> Callable[..., Any]:
    return text_model


@pytest.fixture(name="model")
def _model() -> Callable[..., Any]:
    return model


@pytest.fixture(name="weights")
def _weights() -> Callable[..., Any]:
    return weights
