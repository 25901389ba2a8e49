"""Features are those that transformers itself computes for the same item."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from xm.encoders import make_encoder
from xm.plugins import manager
from xm_hub.pretrained import kinds

Tiny = Callable[[str], Path]
TEXTS = ["a photo of a cat", "dog", "the sound of a bird"]


def made(reference: str) -> Any:
    return make_encoder(reference, manager(), torch.device("cpu"))


def picture(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (45, 60, 3)).astype(np.uint8)


def noise(seconds: float, rate: int = 16_000) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(1).standard_normal(round(seconds * rate))).astype(np.float32)


def given(folder: Path, item: Any) -> Any:
    backend = {"backend": "pil"} if int(transformers.__version__.partition(".")[0]) >= 5 else {"use_fast": False}
    return transformers.AutoImageProcessor.from_pretrained(folder, **backend)(item, return_tensors="pt")


def tensor(out: Any) -> Tensor:
    found: Tensor = out if isinstance(out, Tensor) else out.pooler_output
    return found


def same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, normalize(theirs.detach(), dim=-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["clip", "siglip", "siglip2", "altclip", "chinese_clip"])
def test_images_of_two_towers(tiny: Tiny, name: str) -> None:
    model = transformers.AutoModel.from_pretrained(tiny(name)).eval()
    same(made(f"transformers:{tiny(name)}").encode([picture()]),
         tensor(model.get_image_features(**given(tiny(name), picture()))))  # fmt: skip


def theirs(call: Callable[[], Any]) -> Tensor:
    """What a method of theirs gives; some releases before 5 fail in those of Chinese-CLIP and X-CLIP."""
    if int(transformers.__version__.partition(".")[0]) >= 5:
        return tensor(call())
    try:
        return tensor(call())
    except (TypeError, AttributeError) as error:
        pytest.skip(f"transformers {transformers.__version__} fails itself: {error}")


@pytest.mark.parametrize("name", ["clip", "siglip", "siglip2", "altclip", "chinese_clip", "clap", "xclip"])
def test_texts_of_two_towers(tiny: Tiny, name: str) -> None:
    model = transformers.AutoModel.from_pretrained(tiny(name)).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(tiny(name))
    padding = "max_length" if name.startswith("siglip") else True
    coded = tokens(TEXTS, padding=padding, return_tensors="pt")
    coded.pop("token_type_ids", None)
    same(made(f"transformers-text:{tiny(name)}").encode(TEXTS), theirs(lambda: model.get_text_features(**coded)))


def test_blip_is_its_contrastive_score(tiny: Tiny) -> None:
    model = transformers.BlipForImageTextRetrieval.from_pretrained(tiny("blip")).eval()
    coded = transformers.AutoTokenizer.from_pretrained(tiny("blip"))(TEXTS[:1], return_tensors="pt")
    coded.pop("token_type_ids", None)
    with torch.no_grad():
        score = model(**coded, **given(tiny("blip"), picture()), use_itm_head=False)[0]
    image = made(f"transformers:{tiny('blip')}").encode([picture()])
    text = made(f"transformers-text:{tiny('blip')}").encode(TEXTS[:1])
    torch.testing.assert_close(image @ text.T, score, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "pool"), [("dinov2", "cls"), ("beit", "pooler"), ("convnext", "pooler")])
def test_images_of_one_tower(tiny: Tiny, name: str, pool: str) -> None:
    out = transformers.AutoModel.from_pretrained(tiny(name)).eval()(**given(tiny(name), picture()))
    expected = out.last_hidden_state[:, 0] if pool == "cls" else out.pooler_output
    encoder = made(f"transformers:{tiny(name)}")
    same(encoder.encode([picture()]), expected)
    assert encoder.dim == expected.shape[1]


def test_a_classifier_and_its_names(tiny: Tiny) -> None:
    model = transformers.ViTForImageClassification.from_pretrained(tiny("vit")).eval()
    inputs = given(tiny("vit"), picture())
    encoder = made(f"transformers:{tiny('vit')}")
    same(encoder.encode([picture()]), model.vit(**inputs).last_hidden_state[:, 0])
    torch.testing.assert_close(encoder.trunk([picture()])["scores"], model(**inputs).logits.softmax(1).detach())
    assert encoder.prototypes().names == ("tench", "goldfish", "crane", "crane, a bird")
    assert torch.equal(encoder.prototypes().weight, model.classifier.weight)
    assert made(f"transformers:{tiny('vit')}?pool=mean").prototypes() is None


def test_ast_hears_its_window(tiny: Tiny) -> None:
    model = transformers.ASTForAudioClassification.from_pretrained(tiny("ast")).eval()
    extractor = transformers.ASTFeatureExtractor.from_pretrained(tiny("ast"))
    inputs = extractor(noise(0.4), sampling_rate=16_000, return_tensors="pt")
    encoder = made(f"transformers-audio:{tiny('ast')}")
    pooled = model.audio_spectrogram_transformer(**inputs).pooler_output
    same(encoder.encode([(noise(0.4), 16_000)]), model.classifier.layernorm(pooled))
    scores = encoder.trunk([(noise(0.4), 16_000)])["scores"]
    torch.testing.assert_close(scores, model(**inputs).logits.softmax(1).detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["Wav2Vec2", "Hubert", "WavLM"])
def test_waves_are_means_over_frames(tiny: Tiny, name: str) -> None:
    model = transformers.AutoModel.from_pretrained(tiny(name)).eval()
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(tiny(name))
    inputs = extractor(noise(0.7), sampling_rate=16_000, return_tensors="pt")
    other = (noise(1.1), 16_000)
    ours = made(f"transformers-audio:{tiny(name)}").encode([(noise(0.7), 16_000), other])[:1]
    same(ours, model(**inputs).last_hidden_state.mean(1))


def test_whisper_without_its_filling(tiny: Tiny) -> None:
    model = transformers.WhisperModel.from_pretrained(tiny("whisper")).eval()
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(tiny("whisper"))
    inputs = extractor(noise(0.4), sampling_rate=16_000, return_tensors="pt")
    hidden = model.encoder(inputs["input_features"]).last_hidden_state
    same(made(f"transformers-audio:{tiny('whisper')}").encode([(noise(0.4), 16_000)]), hidden[:, :20].mean(1))


@pytest.mark.parametrize("name", ["videomae", "timesformer", "xclip"])
def test_videos(tiny: Tiny, name: str) -> None:
    model = transformers.AutoModel.from_pretrained(tiny(name)).eval()
    clip = np.stack([picture(seed) for seed in range(4)])
    inputs = given(tiny(name), list(clip))
    if name == "xclip":
        expected = theirs(lambda: model.get_video_features(**inputs))
    else:
        hidden = model(**inputs).last_hidden_state
        expected = hidden[:, 0] if name == "timesformer" else hidden.mean(1)
    encoder = made(f"transformers-video:{tiny(name)}")
    same(encoder.encode([clip, np.repeat(clip, 2, axis=0)[:, ::-1]])[:1], expected)


def test_bert_is_the_mean_over_tokens_or_what_its_files_say(tiny: Tiny, tmp_path: Path) -> None:
    model = transformers.AutoModel.from_pretrained(tiny("bert")).eval()
    coded = transformers.AutoTokenizer.from_pretrained(tiny("bert"))(TEXTS[:1], return_tensors="pt")
    coded.pop("token_type_ids", None)
    hidden = model(**coded).last_hidden_state
    same(made(f"transformers-text:{tiny('bert')}").encode(TEXTS)[:1], hidden.mean(1))
    same(made(f"transformers-text:{tiny('bert')}?pool=cls").encode(TEXTS)[:1], hidden[:, 0])
    own = shutil.copytree(tiny("bert"), tmp_path / "own")
    (own / "1_Pooling").mkdir()
    (own / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    same(made(f"transformers-text:{own}").encode(TEXTS)[:1], hidden[:, 0])
    prints = {made(f"transformers-text:{where}").fingerprint() for where in (own, tiny("bert"))}
    assert len(prints) == 2


def test_a_video_processor_of_today(tiny: Tiny, tmp_path: Path) -> None:
    processor = getattr(transformers, "VideoMAEVideoProcessor", None)
    if processor is None:
        pytest.skip("this release of transformers has no video processors")
    folder = shutil.copytree(tiny("videomae"), tmp_path / "new")
    (folder / "preprocessor_config.json").unlink()
    sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    processor(**sizes).save_pretrained(folder)
    clip = np.stack([picture(seed) for seed in range(4)])
    inputs = processor(**sizes)(videos=[clip], return_tensors="pt")
    model = transformers.VideoMAEModel.from_pretrained(folder).eval()
    same(made(f"transformers-video:{folder}").encode([clip]), model(**inputs).last_hidden_state.mean(1))


def test_types_that_no_table_knows(tiny: Tiny, tmp_path: Path) -> None:
    """Two towers by their configuration; a classifier of several classes at once."""
    config = json.loads((tiny("clip") / "config.json").read_text()) | {"model_type": "metaclip_2"}
    assert {m for m in ("image", "text", "audio") if kinds.find(config, m, "")} == {"image", "text"}
    assert kinds.at_once({"model_type": "audio-spectrogram-transformer"}, 527)
    assert kinds.at_once({"problem_type": "multi_label_classification"}, 3) and not kinds.at_once({}, 3)
    assert kinds.class_names({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}) is None
    assert kinds.class_names({"id2label": {"1": "b", "0": "a", "10": "c"}}) == ("a", "b", "c")
