"""The strategy `lora` against the published computation, on a tiny CLIP of random weights.

Written down again in plain PyTorch: attention whose q, k and v are W + s B A (LoRA, Hu et al., ICLR 2022; CLIP-LoRA,
github.com/MaxZanella/CLIP-LoRA, loralib/layers.py and lora.py), and CLIP-LoRA's steps: class prompts are embedded anew
in every step, logits are 100 times cosines, AdamW with weight decay 0.01, a cosine from 2e-4 without warm-up.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, multi_head_attention_forward, normalize

from xm import Context, Encoder, Stream, UsageError
from xm.encoders import make_encoder
from xm.learning import LinearClassifier, Tower, Towers, adapt, batch_counts, batches, own_tensors
from xm.plugins import manager

open_clip = pytest.importorskip("open_clip")
pytest.importorskip("peft")

CLASSES = ("dog", "sea horse", "ak-47")
DIM, WIDTH, HEADS = 24, 32, 2
CONFIG: dict[str, Any] = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": WIDTH, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": WIDTH, "heads": HEADS, "layers": 2},
}
RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64, "patch_size": None}
NAME = "xm-lora-tiny"
QUICK: dict[str, Any] = {"steps_per_shot": 3, "dropout": 0.0, "batch_size": 4, "lr": 1e-2}


@pytest.fixture(scope="module", autouse=True)
def configurations(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("config")
    for name, changed in ((NAME, {}), (f"{NAME}-resnet", {"vision_cfg": RESNET})):
        (folder / f"{name}.json").write_text(json.dumps(CONFIG | changed))
        open_clip.add_model_config(folder / f"{name}.json")


def encoder(modality: str, name: str = NAME) -> Encoder:
    kind = "openclip" if modality == "image" else "openclip-text"
    return make_encoder(f"{kind}:{name}/random:3", manager(), torch.device("cpu"), modality)


def pixels(per_class: int, seed: int, size: int = 16) -> Stream:
    y = torch.arange(len(CLASSES)).repeat(per_class)
    x = torch.randn(len(y), 3, size, size, generator=torch.Generator().manual_seed(seed))
    return Stream("image", {"pixels": x + y[:, None, None, None]}, y)


def context(name: str = NAME, depth: int = -1, size: int = 16) -> Context:
    text = encoder("text", name)
    trunk, tail = text.split(depth)
    return Context(
        classes=CLASSES,
        target="image",
        dim=DIM,
        train={"image": pixels(2, 1, size)},
        val=None,
        named=frozenset(),
        towers=Towers({"image": Tower(encoder("image", name).split(-1)[1]), "text": Tower(tail)}),
        read_texts=lambda texts: Stream("text", trunk(list(texts))),
        seed=4,
    )


def adapter_names(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def plain_attention(fused: nn.MultiheadAttention, weight: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
    """PyTorch's own function, with other q, k and v matrices: (n, length, width)."""
    turned = x.transpose(0, 1)
    out, _ = multi_head_attention_forward(
        turned, turned, turned, WIDTH, HEADS, weight, fused.in_proj_bias, None, None, False, 0.0,
        fused.out_proj.weight, fused.out_proj.bias, need_weights=False, attn_mask=mask,
    )  # fmt: skip
    return out.transpose(0, 1)


@pytest.mark.parametrize("depth", (-1, 1))
def test_new_adapters_change_nothing_of_either_tower(depth: int) -> None:
    from xm_lora.strategy import Lora

    here = context(depth=depth)
    model = Lora(QUICK | {"names_depth": depth}).build(here).eval()
    prompts = here.read([f"a photo of a {name}." for name in CLASSES])
    with torch.no_grad():
        x = here.train["image"].x
        torch.testing.assert_close(model.towers["image"](x), here.towers["image"](x), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.rows(), here.towers["text"](prompts.x), atol=1e-5, rtol=1e-4)


def test_q_k_and_v_of_every_layer_of_both_towers_are_adapted_and_nothing_else() -> None:
    from xm_lora.strategy import Lora

    model = Lora(QUICK).build(context())
    found = set()
    for name in adapter_names(model):
        parts = name.split(".")
        at = parts.index("attn")
        found.add((parts[1], parts[at - 1], parts[at + 1], parts[at + 2]))
    expected = {
        (modality, layer, matrix, half)
        for modality in ("image", "text")
        for layer in "01"
        for matrix in ("q_proj", "k_proj", "v_proj")
        for half in ("lora_A", "lora_B")
    }
    assert found == expected and len(adapter_names(model)) == len(expected)


def test_a_run_keeps_adapters_and_rows_alone_and_makes_the_model_again() -> None:
    from xm_lora.strategy import Lora

    here = context()
    strategy = Lora(QUICK)
    model = adapt(strategy, here)
    assert isinstance(model, LinearClassifier)
    kept = own_tensors(model)
    assert kept.keys() == adapter_names(model) | {"weight", "scale"}
    assert sum(v.numel() for name, v in kept.items() if "lora_" in name) == 2 * 2 * 3 * 2 * (WIDTH + WIDTH)
    random_state = torch.get_rng_state()
    restored = strategy.restore(context().towers, kept)
    assert torch.equal(torch.get_rng_state(), random_state)
    test = pixels(5, 9)
    with torch.no_grad():
        torch.testing.assert_close(restored(test), model(test), atol=1e-6, rtol=1e-6)


class Plain(nn.Module):
    """A tower of open_clip, whose attention computes with W + s B A; only A and B are trained."""

    def __init__(self, tail: nn.Module, start: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.tail = tail.requires_grad_(False)
        self.factors = nn.ParameterDict({k.replace(".", "/"): nn.Parameter(v.clone()) for k, v in start.items()})
        for name, module in tail.named_modules():
            if isinstance(module, nn.MultiheadAttention):
                module.forward = self._attention(name, module)  # type: ignore[method-assign]

    def _attention(self, name: str, fused: nn.MultiheadAttention) -> Any:
        def forward(x: Tensor, *_: Tensor, need_weights: bool, attn_mask: Tensor | None) -> tuple[Tensor, None]:
            place = name.replace(".", "/")
            changes = [
                self.factors[f"{place}/{m}_proj/lora_B/default/weight"]
                @ self.factors[f"{place}/{m}_proj/lora_A/default/weight"]
                for m in "qkv"
            ]
            weight = fused.in_proj_weight + torch.cat(changes) / math.sqrt(2)
            return plain_attention(fused, weight, x, attn_mask), None

        return forward

    def forward(self, x: Mapping[str, Tensor]) -> Tensor:
        return normalize(self.tail(x), dim=-1)


def test_training_is_clip_loras() -> None:
    """Same start of A, same batches, no dropout: the same classifier after 5 steps a shot, and it moved."""
    from xm_lora.strategy import Lora

    given = {"dropout": 0.0, "batch_size": 4, "steps_per_shot": 5, "lr": 2e-3}
    strategy = Lora(given)
    here = context()
    start = {name: p.detach().clone() for name, p in strategy.build(here).named_parameters() if "lora_" in name}
    model = adapt(strategy, here)
    prompts = here.read([f"a photo of a {name}." for name in CLASSES]).x
    towers = {}
    for modality, tower in context().towers.items():
        prefix = f"towers.{modality}.map."
        own = {name.removeprefix(prefix): value for name, value in start.items() if name.startswith(prefix)}
        towers[modality] = Plain(tower.map, own)
    parameters = [p for tower in towers.values() for p in tower.factors.values()]
    steps = 5 * 2
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=1e-2, betas=(0.9, 0.999))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    source = batches(here.train, batch_counts({"image": 1.0}, 4), torch.Generator().manual_seed(here.seed))
    for _ in range(steps):
        batch = next(source)["image"]
        logits = 100 * towers["image"](batch.x) @ towers["text"](prompts).T
        optimiser.zero_grad()
        cross_entropy(logits, batch.y).backward()  # type: ignore[arg-type]
        optimiser.step()
        schedule.step()
    test = pixels(5, 9)
    with torch.no_grad():
        expected = 100 * towers["image"](test.x) @ towers["text"](prompts).T
        torch.testing.assert_close(model(test), expected, atol=1e-4, rtol=1e-4)
        zero_shot = strategy.build(here).eval()(test)
    assert (expected - zero_shot).abs().max() > 0.1


def test_dropout_draws_by_the_seed() -> None:
    from xm_lora.strategy import Lora

    weights = []
    for seed in (4, 4, 5):
        model = adapt(Lora(QUICK | {"dropout": 0.25}), replace(context(), seed=seed))
        weights.append(own_tensors(model)["weight"])
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_layers_that_are_passed_by_are_refused() -> None:
    """The attention pool of a ResNet of CLIP has linear layers of these names, whose weights it uses without a call."""
    from xm_lora.strategy import Lora

    with pytest.raises(UsageError, match=r"of the image encoder can't be adapted.*never called") as caught:
        Lora(QUICK).build(context(f"{NAME}-resnet", size=32))
    assert "\n" not in str(caught.value)


def test_unknown_layers_are_refused_with_those_there_are() -> None:
    from xm_lora.strategy import Lora

    with pytest.raises(UsageError, match=r"no layer query to adapt.*here: c_fc, c_proj, k_proj, out_proj, q_proj, v_"):
        Lora(QUICK | {"modules": ["query"]}).build(context())
