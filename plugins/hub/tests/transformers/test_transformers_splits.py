"""Towers opened at a depth: equal to the whole, trained apart from it, saved and restored."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xm import UsageError
from xm.encoders import Promptable, Way, make_encoder
from xm.plugins import manager
from xm_hub.pretrained.runs import pooled
from xm_hub.pretrained.splits import Split

Tiny = Callable[[str], Path]
RNG = np.random.default_rng(0)
ITEMS: dict[str, list[Any]] = {
    "": [RNG.integers(0, 256, (40, 50, 3)).astype(np.uint8) for _ in range(3)],
    "-text": ["a photo of a cat", "dog", "the sound of a bird and it is low"],
    "-audio": [(0.1 * RNG.standard_normal(n).astype(np.float32), 16_000) for n in (9000, 12_000, 16_000)],
    "-video": [RNG.integers(0, 256, (n, 40, 50, 3)).astype(np.uint8) for n in (3, 5, 9)],
}
TOWERS = [
    *((name, "") for name in ("siglip", "siglip2", "clip", "blip", "vit", "beit", "dinov2", "convnext")),
    *((name, "-text") for name in ("siglip", "siglip2", "clip", "altclip", "chinese_clip", "blip", "clap", "xclip")),
    *(("bert", "-text"), ("clap", "-audio"), ("ast", "-audio"), ("whisper", "-audio")),
    *((name, "-video") for name in ("xclip", "videomae", "timesformer")),
]


def made(reference: str) -> Any:
    return make_encoder(reference, manager(), torch.device("cpu"))


@pytest.mark.parametrize(("name", "kind"), TOWERS, ids=lambda value: str(value).strip("-") or "image")
def test_every_depth_is_the_whole(tiny: Tiny, name: str, kind: str) -> None:
    encoder = made(f"transformers{kind}:{tiny(name)}")
    whole, sizes = encoder.encode(ITEMS[kind]), []
    for depth in (1, 2, -1):
        trunk, tail = encoder.split(depth)
        x = trunk(ITEMS[kind])
        alone = [trunk([item]) for item in ITEMS[kind]]
        assert all(torch.cat([one[key] for one in alone]).shape == value.shape for key, value in x.items())
        torch.testing.assert_close(tail(x), whole, atol=1e-5, rtol=0)
        tail.train()(x).sum().backward()
        assert all(parameter.grad is not None for parameter in tail.parameters() if parameter.requires_grad)
        sizes.append(sum(parameter.numel() for parameter in tail.parameters()))
    assert sizes == sorted(sizes) and sizes[0] < sizes[1]
    torch.testing.assert_close(encoder.encode(ITEMS[kind]), whole, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [*TOWERS, ("Wav2Vec2", "-audio"), ("WavLM", "-audio")],
    ids=lambda value: str(value).strip("-") or "image",
)
def test_half_precision_is_near_and_leaves_no_trace(tiny: Tiny, name: str, kind: str) -> None:
    encoder = made(f"transformers{kind}:{tiny(name)}")
    batch = [encoder.prepare(item) for item in ITEMS[kind]]
    whole = encoder.compute(batch)["features"]
    weights = [weight for network in encoder.networks() for weight in network.parameters() if weight.ndim > 1]
    before = [weight.clone() for weight in weights]
    with Way("bfloat16", channels_last=True).of(encoder), torch.autocast("cpu", torch.bfloat16):
        assert weights and all(weight.dtype == torch.bfloat16 for weight in weights)
        found = encoder.compute(batch)["features"]
    assert not torch.equal(found, whole) and float(torch.cosine_similarity(found, whole).min()) > 0.99
    assert all(now.dtype == then.dtype and torch.equal(now, then) for now, then in zip(weights, before, strict=True))
    assert torch.equal(encoder.compute(batch)["features"], whole)


def test_networks_are_of_the_tower_alone(tiny: Tiny) -> None:
    kinds = {
        kind: [type(n).__name__ for n in made(f"transformers{kind}:{tiny('clip')}").networks()]
        for kind in ("", "-text")
    }
    assert kinds == {"": ["CLIPVisionModel", "Linear"], "-text": ["CLIPTextModel", "Linear"]}
    assert [type(n).__name__ for n in made(f"transformers:{tiny('vit')}").networks()] == ["ViTModel", "Linear"]


@pytest.mark.parametrize("depth", [1, -1])
def test_tails_are_copied_trained_and_restored(tiny: Tiny, depth: int) -> None:
    encoder = made(f"transformers:{tiny('siglip')}")
    before = encoder.encode(ITEMS[""])
    trunk, tail = encoder.split(depth)
    other, x = deepcopy(tail), trunk(ITEMS[""])
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.05)
    assert not torch.allclose(other(x), tail(x), atol=1e-3)
    assert torch.equal(encoder.encode(ITEMS[""]), before)
    again = made(f"transformers:{tiny('siglip')}").split(depth)[1]
    again.load_state_dict(other.state_dict())
    assert torch.equal(again(x), other(x))
    assert not any("text_model" in name for name in other.state_dict()), "the other tower is no part of a tail"


@pytest.mark.parametrize("name", ["siglip", "clip", "clap", "bert"])
def test_token_embeddings_can_be_replaced(tiny: Tiny, name: str) -> None:
    trunk, tail = made(f"transformers-text:{tiny(name)}").split(-1)
    assert isinstance(tail, Promptable)
    x = trunk(ITEMS["-text"])
    torch.testing.assert_close(tail({**x, "tokens": tail.embed(x)}), tail(x), atol=1e-5, rtol=0)
    swapped = tail.embed(x)[[1, 0, 2]]
    assert not torch.allclose(tail({**x, "tokens": swapped}), tail(x), atol=1e-3)
    fewer = {key: value[1:2] for key, value in x.items()}
    torch.testing.assert_close(tail(fewer), tail(x)[1:2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("left", [False, True])
def test_filling_is_left_out_on_either_side(left: bool) -> None:
    """By a network with rotary positions, whose tokenizers fill in front."""
    from transformers import Qwen2Config, Qwen2Model

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
    model = Qwen2Model(Qwen2Config(**sizes, num_key_value_heads=2, vocab_size=40)).eval()
    ids = torch.arange(8, 40).reshape(2, 16)
    mask = torch.tensor([[1] * 9 + [0] * 7, [1] * 5 + [0] * 11])
    given = {"input_ids": ids, "attention_mask": mask.flip(1) if left else mask}
    sample = {"input_ids": ids[:1], "attention_mask": torch.ones_like(ids[:1])}
    run, seen = pooled("mean"), []
    with torch.no_grad():
        whole = torch.nn.functional.normalize(run(model, given), dim=-1)
    for depth in (1, 2, -1):
        front, tail = Split(model, run, "input_ids", sample, "it can't be split").at(depth)
        x = front(given)
        alone = [front({name: value[i : i + 1] for name, value in given.items()}) for i in range(2)]
        apart = {name: torch.cat([one[name] for one in alone]) for name in x}
        assert all(value.shape[:2] == (2, 16) for value in apart.values())
        hook = tail.tower.layers[-1].register_forward_hook(lambda _m, _given, out: seen.append(out.shape[1]))
        for rows in (x, apart):
            torch.testing.assert_close(tail(rows), whole, atol=1e-5, rtol=0)
        hook.remove()
    assert set(seen) == {9}
    swapped = {**x, "tokens": tail.embed(x)}
    fewer = {name: value[1:] for name, value in swapped.items()}
    torch.testing.assert_close(tail(fewer), whole[1:], atol=1e-5, rtol=0)


def test_depths_that_there_are(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match=r"depth 3; depths are 0 \(frozen\), 1 to 2 and -1 \(all of it\)"):
        made(f"transformers:{tiny('clip')}").split(3)
    with pytest.raises(UsageError, match="hears sounds of any length, and is frozen here"):
        made(f"transformers-audio:{tiny('Wav2Vec2')}").split(1)


def test_positions_that_a_block_hands_on_are_refused(tiny: Tiny) -> None:
    """WavLM's first block computes what all others read beside the tokens."""
    encoder = made(f"transformers-audio:{tiny('WavLM')}")
    sample = encoder._rows([encoder._sample()])
    with pytest.raises(UsageError, match="WavLM can't: its blocks are given more than"):
        Split(encoder._loaded().module, encoder._run, "input_values", sample, "WavLM can't").at(1)


def test_places_are_in_the_space(tiny: Tiny) -> None:
    for name in ("clip", "siglip", "blip", "vit", "dinov2"):
        encoder = made(f"transformers:{tiny(name)}")
        x = encoder.places(ITEMS[""])
        assert x["tokens"].shape == (3, 16, encoder.dim)
        assert x["grid"][0, 1].tolist() == [0.125, 0.375]
    model = made(f"transformers:{tiny('siglip')}")
    assert not hasattr(made(f"transformers:{tiny('beit')}"), "places") and hasattr(model, "places")
