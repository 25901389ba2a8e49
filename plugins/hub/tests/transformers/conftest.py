"""Tiny models of the real architectures with random weights, saved as `save_pretrained` does, made once a session."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

WORDS = [
    *("a", "b", "the", "of", "photo", "picture", "sound", "cat", "dog", "bird", "red", "green", "blue", "tone"),
    *("noise", "low", "high", "X", "is", "and", "it"),
]
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
PATCHES = {"image_size": 32, "patch_size": 8}
LABELS = {0: "tench, Tinca tinca", 1: "goldfish", 2: "crane", 3: "crane, a bird"}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def filled(model: Any, folder: Path) -> None:
    """Save a model whose parameters are all random, so that no part of it is idle."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.eval().save_pretrained(folder)


def word_level(folder: Path, start: str, end: str, pad: str, most: int, **more: Any) -> None:
    """A tokenizer of a few words, with a token at the start ("" for none) and one at the end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ends = dict.fromkeys([pad, *filter(None, (start,)), "<unk>"])
    vocabulary = {word: i for i, word in enumerate([*ends, *WORDS])}
    vocabulary.setdefault(end, len(vocabulary))  # CLIP's end has the highest number
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [(word, vocabulary[word]) for word in dict.fromkeys((start, end)) if word]
    made.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}".strip(), special_tokens=special)
    PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", pad_token=pad, eos_token=end, bos_token=start or None,
        model_max_length=most, **more,
    ).save_pretrained(folder)  # fmt: skip


def preprocessor(folder: Path, kind: str, **settings: Any) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": kind, **settings}))


def resized(folder: Path, kind: str) -> None:
    preprocessor(folder, kind, do_resize=True, size={"height": 32, "width": 32}, resample=3, do_rescale=True,
                 rescale_factor=1 / 255, do_normalize=True, **IMAGENET)  # fmt: skip


def clip(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    text = {**VISION, "vocab_size": 40, "max_position_embeddings": 16, "eos_token_id": 2, "bos_token_id": 1,
            "pad_token_id": 0}  # fmt: skip
    filled(CLIPModel(CLIPConfig(text_config=text, vision_config={**VISION, **PATCHES}, projection_dim=24)), folder)
    word_level(folder, "<s>", "</s>", "<pad>", 16)
    preprocessor(folder, "CLIPImageProcessor", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def siglip(folder: Path) -> None:
    from transformers import SiglipConfig, SiglipModel

    text = {**VISION, "vocab_size": 40, "max_position_embeddings": 12, "projection_size": 32}
    filled(SiglipModel(SiglipConfig(text_config=text, vision_config={**VISION, **PATCHES})), folder)
    word_level(folder, "", "</s>", "</s>", 12, model_input_names=["input_ids"])
    resized(folder, "SiglipImageProcessor")


def siglip2(folder: Path) -> None:
    from transformers import Siglip2Config, Siglip2Model

    text = {**VISION, "vocab_size": 40, "max_position_embeddings": 12, "projection_size": 32}
    vision = {**VISION, "patch_size": 8, "num_patches": 16}
    filled(Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)), folder)
    word_level(folder, "", "</s>", "<pad>", 12, model_input_names=["input_ids"])
    preprocessor(folder, "Siglip2ImageProcessor", patch_size=8, max_num_patches=16)


def altclip(folder: Path) -> None:
    from transformers import AltCLIPConfig, AltCLIPModel

    text = {**VISION, "vocab_size": 40, "max_position_embeddings": 18, "pad_token_id": 1, "project_dim": 24}
    config = AltCLIPConfig(text_config=text, vision_config={**VISION, **PATCHES}, projection_dim=24)
    filled(AltCLIPModel(config), folder)
    word_level(folder, "<s>", "</s>", "<pad>", 16)
    preprocessor(folder, "CLIPImageProcessor", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def chinese_clip(folder: Path) -> None:
    from transformers import ChineseCLIPConfig, ChineseCLIPModel

    text = {**VISION, "vocab_size": 40, "max_position_embeddings": 16}
    config = ChineseCLIPConfig(text_config=text, vision_config={**VISION, **PATCHES}, projection_dim=24)
    filled(ChineseCLIPModel(config), folder)
    word_level(folder, "[CLS]", "[SEP]", "[PAD]", 16)
    preprocessor(folder, "ChineseCLIPImageProcessor", size={"height": 32, "width": 32}, do_center_crop=False)


def blip(folder: Path) -> None:
    from transformers import BlipConfig, BlipForImageTextRetrieval

    text = {**VISION, "vocab_size": 40, "max_position_embeddings": 16, "encoder_hidden_size": 32}
    config = BlipConfig(text_config=text, vision_config={**VISION, **PATCHES}, image_text_hidden_size=24)
    filled(BlipForImageTextRetrieval(config), folder)
    word_level(folder, "[CLS]", "[SEP]", "[PAD]", 16)
    resized(folder, "BlipImageProcessor")


def clap(folder: Path) -> None:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    sizes = {"num_hidden_layers": 2, "hidden_size": 32}
    text = {**sizes, "vocab_size": 40, "num_attention_heads": 2, "intermediate_size": 48,
            "max_position_embeddings": 18, "pad_token_id": 1}  # fmt: skip
    audio = {**sizes, "spec_size": 64, "num_mel_bins": 16, "window_size": 4, "patch_size": 4, "patch_stride": [4, 4],
             "patch_embeds_hidden_size": 16, "depths": [1, 1], "num_attention_heads": [2, 2]}  # fmt: skip
    filled(ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=24)), folder)
    word_level(folder, "<s>", "</s>", "<pad>", 16)
    extractor = ClapFeatureExtractor(feature_size=16, max_length_s=1, frequency_min=50, truncation="rand_trunc")
    extractor.save_pretrained(folder)


def xclip(folder: Path) -> None:
    from transformers import XCLIPConfig, XCLIPModel

    text = {**VISION, "vocab_size": 40, "max_position_embeddings": 16}
    vision = {**VISION, **PATCHES, "num_frames": 4, "mit_hidden_size": 24, "mit_intermediate_size": 32,
              "mit_num_hidden_layers": 1, "mit_num_attention_heads": 2}  # fmt: skip
    config = XCLIPConfig(text_config=text, vision_config=vision, projection_dim=24, prompt_num_attention_heads=2)
    filled(XCLIPModel(config), folder)
    word_level(folder, "<s>", "</s>", "<pad>", 16)
    preprocessor(folder, "VideoMAEImageProcessor", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def vit(folder: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    filled(ViTForImageClassification(ViTConfig(**VISION, **PATCHES, id2label=LABELS)), folder)
    resized(folder, "ViTImageProcessor")


def beit(folder: Path) -> None:
    from transformers import BeitConfig, BeitModel

    filled(BeitModel(BeitConfig(**VISION, **PATCHES, use_mean_pooling=True)), folder)
    resized(folder, "BeitImageProcessor")


def dinov2(folder: Path) -> None:
    from transformers import Dinov2Config, Dinov2Model

    filled(Dinov2Model(Dinov2Config(**VISION, **PATCHES)), folder)
    preprocessor(folder, "BitImageProcessor", size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32},
                 do_center_crop=True, **IMAGENET)  # fmt: skip


def convnext(folder: Path) -> None:
    """A type that no table knows."""
    from transformers import ConvNextConfig, ConvNextModel

    filled(ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], image_size=32)), folder)
    resized(folder, "ViTImageProcessor")


def ast(folder: Path) -> None:
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    sizes = {"max_length": 104, "num_mel_bins": 32, "patch_size": 8, "frequency_stride": 8, "time_stride": 8}
    filled(ASTForAudioClassification(ASTConfig(**VISION, **sizes, id2label=LABELS)), folder)
    ASTFeatureExtractor(num_mel_bins=32, max_length=104).save_pretrained(folder)


WAVES = {"conv_dim": (16, 16), "conv_stride": (10, 8), "conv_kernel": (10, 8), "num_conv_pos_embeddings": 8,
         "num_conv_pos_embedding_groups": 2}  # fmt: skip


def wave(folder: Path, name: str) -> None:
    import transformers

    config = getattr(transformers, f"{name}Config")(**VISION, **WAVES, num_feat_extract_layers=2)
    filled(getattr(transformers, f"{name}Model")(config), folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)


def whisper(folder: Path) -> None:
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    sizes = {"encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
             "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "d_model": 32, "num_mel_bins": 16}  # fmt: skip
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    filled(WhisperModel(WhisperConfig(**sizes, **ends, vocab_size=40, max_source_positions=50)), folder)
    WhisperFeatureExtractor(feature_size=16, chunk_length=1).save_pretrained(folder)


def videomae(folder: Path) -> None:
    from transformers import VideoMAEConfig, VideoMAEModel

    filled(VideoMAEModel(VideoMAEConfig(**VISION, **PATCHES, num_frames=4, tubelet_size=2)), folder)
    preprocessor(folder, "VideoMAEImageProcessor", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def timesformer(folder: Path) -> None:
    from transformers import TimesformerConfig, TimesformerModel

    filled(TimesformerModel(TimesformerConfig(**VISION, **PATCHES, num_frames=4)), folder)
    preprocessor(folder, "VideoMAEImageProcessor", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def bert(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    filled(BertModel(BertConfig(**VISION, vocab_size=40, max_position_embeddings=16)), folder)
    word_level(folder, "[CLS]", "[SEP]", "[PAD]", 16)


BUILD: dict[str, Callable[[Path], None]] = {
    **{f.__name__: f for f in (clip, siglip, siglip2, altclip, chinese_clip, blip, clap, xclip)},
    **{f.__name__: f for f in (vit, beit, dinov2, convnext, ast, whisper, videomae, timesformer, bert)},
    **{name: lambda folder, name=name: wave(folder, name) for name in ("Wav2Vec2", "Hubert", "WavLM")},
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by its name."""
    folders: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in folders:
            made = tmp_path_factory.mktemp(name)
            try:
                BUILD[name](made)
            except ImportError as error:  # this release of transformers is older than the model
                pytest.skip(str(error))
            folders[name] = made
        return folders[name]

    return get
