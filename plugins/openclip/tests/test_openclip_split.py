"""Towers in two: the tail of the trunk is the encoder, at every depth, for every kind of tower."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip.transformer import TextTransformer  # type: ignore[import-untyped]
from torch.nn.functional import normalize

from xm import Encoder, UsageError
from xm.encoders import Promptable
from xm_openclip import model
from xm_openclip.image import ImageEncoder
from xm_openclip.reference import Reference, resolve
from xm_openclip.text import TextEncoder
from xm_openclip.towers import WholeText
from xm_openclip.weights import RandomWeights

VISION: dict[str, dict[str, Any]] = {
    "vit": {},
    "vit-avg": {"pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True},
    "vit-attentional": {"attentional_pool": True, "attn_pooler_heads": 4, "output_tokens": True},
    "vit-custom": {"qk_norm": True, "ls_init_value": 0.1, "pos_embed_type": "sin_cos_2d"},
}
RESNET: dict[str, Any] = {
    "image_size": 64,
    "layers": [1, 1, 1, 1],
    "width": 8,
    "head_width": 64,
    "patch_size": None,
}
TIMM: dict[str, Any] = {
    "image_size": 32,
    "timm_model_name": "resnet10t",
    "timm_pool": "avg",
    "timm_proj": "linear",
}
COCA: dict[str, Any] = {
    "custom_text": True,
    "multimodal_cfg": {"width": 48, "heads": 2, "layers": 1, "context_length": 16},
}
TEXT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "clip": ({}, {}),
    "clip-eos": ({"pool_type": "eos", "eos_id": 49407}, {}),
    "siglip": ({"no_causal_mask": True, "pool_type": "last", "proj_bias": True}, {"custom_text": True}),
    "first": ({"no_causal_mask": True, "pool_type": "first"}, {"custom_text": True}),
    "coca": ({"embed_cls": True, "output_tokens": True, "width": 48}, COCA),
    "no-projection": ({"proj_type": "none", "width": 48}, {"custom_text": True}),
}


@pytest.fixture
def save(config: dict[str, Any], make_folder: Callable[..., Path]) -> Callable[..., str]:
    """Writes a variant of the tiny model with random weights; returns its reference."""

    def make(vision: dict[str, Any] | None = None, text: dict[str, Any] | None = None, **more: Any) -> str:
        base = config["vision_cfg"] if vision is None or "image_size" not in vision else {}
        changed = config | more | {
            "vision_cfg": base | (vision or {}),
            "text_cfg": config["text_cfg"] | (text or {}),
        }  # fmt: skip
        reference = Reference("x", "x", json.dumps(changed), "{}", "", RandomWeights(0))
        weights = model.load(reference, "cpu").module.state_dict()
        return f"local-dir:{make_folder(changed, {k: v.contiguous() for k, v in weights.items()})}"

    return make


def assert_splits(encoder: Encoder, items: list[Any], depths: tuple[int, ...]) -> None:
    whole = encoder.encode(items)
    for depth in depths:
        trunk, tail = encoder.split(depth)
        x = trunk(items)
        assert all(len(value) == len(items) for value in x.values())
        assert not any(value.is_inference() or value.requires_grad for value in x.values())
        out = tail.eval()(x)
        torch.testing.assert_close(out, whole, atol=1e-4, rtol=1e-4)
        parameters = [p for p in tail.parameters() if p.requires_grad]
        assert bool(parameters) == (depth != 0)
        if depth:
            (out @ torch.randn(encoder.dim)).sum().backward()
            assert all(p.grad is not None for p in parameters), "the tail holds parameters it does not use"


@pytest.mark.parametrize("kind", VISION)
def test_vit(kind: str, save: Callable[..., str], images: list[Path]) -> None:
    text, more = TEXT["coca"] if kind == "vit-attentional" else TEXT["clip"]
    reference = save(VISION[kind], text, **more)
    assert_splits(ImageEncoder(reference), images, (0, 1, 2, -1))


def test_vit_tokens(folder: Path, images: list[Path]) -> None:
    encoder = ImageEncoder(f"local-dir:{folder}")
    assert encoder.split(1)[0](images)["tokens"].shape == (len(images), 17, 64)
    assert encoder.split(-1)[0](images)["pixels"].shape == (len(images), 3, 32, 32)
    sizes = [sum(p.numel() for p in encoder.split(d)[1].parameters()) for d in (0, 1, 2, -1)]
    assert sizes == sorted(sizes) and len(set(sizes)) == 4
    with pytest.raises(UsageError, match=r"can't be split at depth 3; depths are 0 \(frozen\), 1 to 2 and -1"):
        encoder.split(3)
    with pytest.raises(UsageError, match="at depth -2"):
        encoder.split(-2)


def test_resnet(save: Callable[..., str], images: list[Path]) -> None:
    encoder = ImageEncoder(save(RESNET))
    assert_splits(encoder, images, (0, 1, -1))
    assert encoder.split(1)[0](images)["maps"].shape == (len(images), 256, 2, 2)
    with pytest.raises(UsageError, match=r"\(ModifiedResNet\).* depth 2; depths are 0 \(frozen\), 1 and -1"):
        encoder.split(2)


def test_timm(save: Callable[..., str], images: list[Path]) -> None:
    encoder = ImageEncoder(save(TIMM))
    assert_splits(encoder, images, (0, -1))
    with pytest.raises(UsageError, match=r"\(TimmModel\).* depths are 0 \(frozen\) and -1"):
        encoder.split(1)


@pytest.mark.parametrize("kind", TEXT)
def test_text(kind: str, save: Callable[..., str], texts: list[str]) -> None:
    text, more = TEXT[kind]
    encoder = TextEncoder(save(None, text, **more))
    assert_splits(encoder, texts, (0, 1, 2, -1))
    with pytest.raises(UsageError, match=r"text tower .* 1 to 2 and -1"):
        encoder.split(3)


@pytest.mark.parametrize("kind", TEXT)
def test_tokens_can_be_replaced(kind: str, save: Callable[..., str], texts: list[str]) -> None:
    text, more = TEXT[kind]
    reference = save(None, text, **more)
    trunk, tail = TextEncoder(reference).split(-1)
    assert isinstance(tail, Promptable)
    x = trunk(texts)
    tokens = tail.embed(x).detach().requires_grad_()
    assert tokens.shape == (*x["ids"].shape, tail.positional_embedding.shape[1])
    found = tail({**x, "tokens": tokens})
    assert torch.equal(found, tail(x))
    module = model.load(resolve(reference), "cpu").module
    with torch.no_grad():
        expected = module.encode_text(x["ids"], normalize=True)  # type: ignore[operator]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    found.square()[:, 0].sum().backward()
    assert tokens.grad is not None and bool((tokens.grad[:, 1].abs().sum(dim=1) > 0).all())
    changed = tail({**x, "tokens": tokens.detach().flip(2)})
    assert not torch.allclose(changed, found, atol=1e-3)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("cls", [True, False])
@pytest.mark.parametrize("correct", [True, False])
def test_hidden_pads(causal: bool, cls: bool, correct: bool) -> None:
    """Masks that open_clip's class has, though not every one can be named in a configuration."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tower = TextTransformer(
            context_length=8, vocab_size=20, width=16, heads=2, layers=2, output_dim=12, embed_cls=cls,
            no_causal_mask=not causal, use_pad_mask=True, correct_cls_mask=correct,
        ).eval()  # fmt: skip
    ids = torch.tensor([[1, 5, 6, 19, 0, 0, 0, 0], [1, 7, 8, 9, 10, 11, 12, 19]])
    with torch.no_grad():
        expected = normalize(tower(ids), dim=-1)
    torch.testing.assert_close(WholeText(tower)({"ids": ids}), expected, atol=1e-5, rtol=1e-4)


def test_hugging_face_text(save: Callable[..., str], texts: list[str], tmp_path: Path) -> None:
    import transformers

    words = transformers.BertConfig(
        vocab_size=49408, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    words.save_pretrained(tmp_path)
    text = {"hf_model_name": str(tmp_path), "hf_proj_type": "linear", "hf_pooler_type": "cls_pooler"}
    encoder = TextEncoder(save(None, {"context_length": 16, **text}))
    whole = encoder.encode(texts)
    trunk, tail = encoder.split(-1)
    torch.testing.assert_close(tail.eval()(trunk(texts)), whole, atol=1e-4, rtol=1e-4)
    assert not isinstance(tail, Promptable)
    with pytest.raises(UsageError, match=r"\(HFTextEncoder\).* depths are 0 \(frozen\) and -1"):
        encoder.split(1)


@pytest.mark.parametrize("depth", [1, -1])
def test_training_the_tail_leaves_the_encoder(folder: Path, images: list[Path], texts: list[str], depth: int) -> None:
    pairs: list[tuple[Encoder, list[Any]]] = [
        (ImageEncoder(f"local-dir:{folder}"), list(images)),
        (TextEncoder(f"local-dir:{folder}"), list(texts)),
    ]
    for encoder, items in pairs:
        before = encoder.encode(items)
        trunk, tail = encoder.split(depth)
        x = trunk(items)
        optimiser = torch.optim.SGD(tail.parameters(), lr=0.5)
        tail(x)[:, 0].sum().backward()
        optimiser.step()
        assert not torch.allclose(tail(x), before, atol=1e-4)
        assert torch.equal(encoder.encode(items), before)
