"""Text networks in ONNX: the conformance kit, padding, masks, and tokenizers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from onnx import TensorProto, numpy_helper

from xm import Encoder, EncoderSpec, UsageError
from xm.encoders import FeatureStore
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_own.onnx.encoder import Onnx

Save = Callable[..., Path]
SETTINGS = {"modality": "text", "pool": "mean"}
TEXTS = ["the cat sits on the mat", "a dog", "a red cat and a blue dog of green on the mat of red", "the"]


class _Suite(EncoderConformance):
    model: ClassVar[dict[str, Any]] = {}
    settings: ClassVar[dict[str, Any]] = SETTINGS

    @pytest.fixture(autouse=True)
    def _file(self, save: Save, text_model: Any, tokenizer: Path) -> None:
        self.argument = str(save(text_model(**self.model), self.settings))

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("onnx")

    @pytest.fixture
    def items(self, tmp_path: Path) -> list[Any]:
        (tmp_path / "long.txt").write_text("a green mat " * 9)
        return [*TEXTS, tmp_path / "long.txt"]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        return tmp_path / "missing.txt"

    def test_says_what_it_is(self, spec: EncoderSpec, encoder: Encoder) -> None:
        assert encoder.suffixes == (".txt",) and encoder.accepts_names
        assert (encoder.modality, encoder.dim) == ("text", 6)


class TestMasked(_Suite):
    pass


class TestWithoutMask(_Suite):
    model: ClassVar[dict[str, Any]] = {"masked": False, "dtype": TensorProto.INT32}


class TestFixedLength(_Suite):
    model: ClassVar[dict[str, Any]] = {"length": 12}
    settings: ClassVar[dict[str, Any]] = {"modality": "text", "pool": "cls"}


def test_the_mean_is_of_tokens_alone(save: Save, text_model: Any, tokenizer: Path) -> None:
    words = torch.from_numpy(numpy_helper.to_array(text_model().graph.initializer[0]))
    found = Onnx(str(save(text_model(), SETTINGS))).trunk(["the cat", "a dog sits", "zebra"])["features"]
    wanted = [words[[2, 4]].mean(0), words[[3, 5, 6]].mean(0), words[1]]
    torch.testing.assert_close(found, torch.stack(wanted))
    first = Onnx(str(save(text_model(), SETTINGS | {"pool": "cls"}, "first"))).trunk(["the cat"])["features"]
    torch.testing.assert_close(first[0], words[2])


@pytest.mark.parametrize(("model", "settings", "most"), [({"length": 5}, {}, 5), ({}, {"tokens": 4}, 4)])
def test_long_texts_are_cut_and_told(
    save: Save, text_model: Any, tokenizer: Path, model: dict[str, Any], settings: dict[str, Any], most: int
) -> None:
    encoder = Onnx(str(save(text_model(**model), SETTINGS | settings)))
    heard: list[str] = []
    store = FeatureStore(None, listener=lambda event: heard.extend(event.data.get("message", "").splitlines()))
    found = store.features(encoder, [TEXTS[0], TEXTS[1]]).x["features"]
    told = f"text: 1 of 2 items is longer than the {most} tokens that the encoder reads"
    assert [line.partition(";")[0] for line in heard] == [told]
    torch.testing.assert_close(found[:1], encoder.trunk([" ".join(TEXTS[0].split()[:most])])["features"])


def test_the_tokenizer_is_part_of_the_fingerprint(save: Save, text_model: Any, tokenizer: Path) -> None:
    path = save(text_model(), SETTINGS)
    before = Onnx(str(path)).fingerprint()
    tokenizer.write_text(tokenizer.read_text().replace("zebra", "horse").replace('"mat"', '"rug"'))
    assert Onnx(str(path)).fingerprint() != before


def test_without_a_tokenizer(save: Save, text_model: Any) -> None:
    path = save(text_model(), SETTINGS)
    with pytest.raises(UsageError, match=r'tokenizer\.json is not there; save it .* "tokenizer": "FILE\.json"'):
        Onnx(str(path))
    (path.parent / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match=r"tokenizer\.json: is no file of Hugging Face's tokenizers") as caught:
        Onnx(str(path)).encode(["the cat"])
    assert "\n" not in str(caught.value)


def test_vectors_of_tokens_need_pooling(save: Save, text_model: Any, tokenizer: Path) -> None:
    with pytest.raises(UsageError, match=r"output 'tokens' is \(1, 2, 6\) for 1 items.*; add \"pool\": \"mean\""):
        Onnx(str(save(text_model(), {"modality": "text"}))).encode(["the cat"])


def test_a_length_that_the_graph_does_not_say(save: Save, text_model: Any, tokenizer: Path) -> None:
    made = text_model()
    made.graph.output[0].type.tensor_type.shape.dim[2].dim_param = "width"
    assert Onnx(str(save(made, SETTINGS))).dim == 6
